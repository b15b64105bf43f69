from .feature_loop import FeatureTestLoop
from .knn_val_loop import KNNValLoop
from .pretrain_loop import PretrainLoop
from .teacher_val_loop import TeacherValLoop

__all__ = ['FeatureTestLoop', 'KNNValLoop', 'PretrainLoop', 'TeacherValLoop']
