from .center import Center
from .dino_loss import DINOLoss
from .ibot_patch_loss import IBOTPatchLoss
from .koleo_loss import KoLeoLoss

__all__ = ['Center', 'DINOLoss', 'IBOTPatchLoss', 'KoLeoLoss']
