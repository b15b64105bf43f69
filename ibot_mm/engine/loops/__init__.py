from .feature_loop import FeatureTestLoop
from .knn_val_loop import KNNValLoop
from .perturbation_loop import PerturbationTestLoop
from .pretrain_loop import PretrainLoop
from .teacher_val_loop import TeacherValLoop
from .video_loop import VideoSegmentationTestLoop

__all__ = [
    'FeatureTestLoop', 'KNNValLoop', 'PerturbationTestLoop',
    'PretrainLoop', 'TeacherValLoop', 'VideoSegmentationTestLoop'
]
