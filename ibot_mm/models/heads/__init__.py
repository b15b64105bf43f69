from .ibot_head import IBOTHead

__all__ = ['IBOTHead']
