from .ibot_neck import IBOTNeck
from .projection_neck import ProjectionNeck
from .simple_feature_pyramid import SimpleFeaturePyramid
from .vit_pyramid import ViTPyramid

__all__ = ['IBOTNeck', 'ProjectionNeck', 'SimpleFeaturePyramid', 'ViTPyramid']
