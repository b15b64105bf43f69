from .ibot_neck import IBOTNeck

__all__ = ['IBOTNeck']
