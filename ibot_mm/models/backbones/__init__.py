from .ibot_swin import IBOTSwin
from .ibot_vit import IBOTViT

__all__ = ['IBOTSwin', 'IBOTViT']
