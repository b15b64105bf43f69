from .feature_extractor import FeatureExtractor
from .linear_probe import LinearProbe

__all__ = ['FeatureExtractor', 'LinearProbe']
