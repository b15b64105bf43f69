from .ibot_neck import IBOTNeck
from .projection_neck import ProjectionNeck

__all__ = ['IBOTNeck', 'ProjectionNeck']
