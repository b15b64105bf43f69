from .koleo_loss import KoLeoLoss

__all__ = ['KoLeoLoss']
