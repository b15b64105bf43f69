from .algorithms import IBOT
from .backbones import IBOTSwin, IBOTViT
from .classifiers import (
    DescriptorExtractor,
    FeatureExtractor,
    LinearClassifier,
    LinearProbe,
)
from .data_preprocessors import MultiCropDataPreprocessor
from .heads import IBOTHead
from .losses import KoLeoLoss
from .necks import IBOTNeck, ProjectionNeck, SimpleFeaturePyramid, ViTPyramid

__all__ = [
    'DescriptorExtractor', 'FeatureExtractor', 'IBOT', 'IBOTHead',
    'IBOTNeck', 'IBOTSwin', 'IBOTViT', 'KoLeoLoss', 'LinearClassifier',
    'LinearProbe', 'MultiCropDataPreprocessor', 'ProjectionNeck',
    'SimpleFeaturePyramid', 'ViTPyramid'
]
