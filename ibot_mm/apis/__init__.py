from .embedder import Embedder, ImageFeatures

__all__ = ['Embedder', 'ImageFeatures']
