from .cosine import CosineWeightDecay, EpochCosineLR, WarmupCosineLR

__all__ = ['CosineWeightDecay', 'EpochCosineLR', 'WarmupCosineLR']
