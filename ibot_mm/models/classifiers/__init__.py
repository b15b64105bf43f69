from .descriptor_extractor import DescriptorExtractor
from .feature_extractor import FeatureExtractor
from .linear_classifier import LinearClassifier
from .linear_probe import LinearProbe

__all__ = [
    'DescriptorExtractor', 'FeatureExtractor', 'LinearClassifier',
    'LinearProbe'
]
