from .cosine import CosineWeightDecay, WarmupCosineLR

__all__ = ['CosineWeightDecay', 'WarmupCosineLR']
