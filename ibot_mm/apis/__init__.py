"""What is used from Python without a config file."""

from .embed import embed_images
from .embedder import Embedder, ImageFeatures
from .feature_file import read_features, write_features
from .pretrain import Plan, pretrain

__all__ = [
    'Embedder', 'ImageFeatures', 'Plan', 'embed_images', 'pretrain',
    'read_features', 'write_features'
]
