from .frozen_features import FrozenFeatures
from .linear_probe import LinearProbe

__all__ = ['FrozenFeatures', 'LinearProbe']
