from .feature_loop import FeatureTestLoop
from .knn_val_loop import KNNValLoop

__all__ = ['FeatureTestLoop', 'KNNValLoop']
