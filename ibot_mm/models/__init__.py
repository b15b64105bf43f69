from .algorithms import IBOT
from .backbones import IBOTSwin, IBOTViT
from .data_preprocessors import MultiCropDataPreprocessor
from .heads import IBOTHead
from .losses import KoLeoLoss
from .necks import IBOTNeck

__all__ = [
    'IBOT', 'IBOTHead', 'IBOTNeck', 'IBOTSwin', 'IBOTViT', 'KoLeoLoss',
    'MultiCropDataPreprocessor'
]
