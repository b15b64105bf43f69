from .ibot_swin import IBOTSwin
from .ibot_vit import IBOTViT
from .teacher_weights import take_teacher

__all__ = ['IBOTSwin', 'IBOTViT', 'take_teacher']
