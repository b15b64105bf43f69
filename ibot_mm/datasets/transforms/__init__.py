from .decode import ImageDecodeError, decode_image, decode_unchanged
from .load_image import LoadImage
from .mask_generators import BlockMaskGenerator, RandomMaskGenerator
from .mask_global_crops import MaskGlobalCrops
from .multi_crop import MultiCrop
from .resize_short_side import ResizeShortSide
from .rgb_to_bgr import RGBToBGR
from .shrink_image import ShrinkImage

__all__ = [
    'BlockMaskGenerator', 'ImageDecodeError', 'LoadImage', 'MaskGlobalCrops',
    'MultiCrop', 'RGBToBGR', 'RandomMaskGenerator', 'ResizeShortSide',
    'ShrinkImage', 'decode_image', 'decode_unchanged'
]
