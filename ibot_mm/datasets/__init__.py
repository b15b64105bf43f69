from .collate import multi_crop_collate
from .pretrain_dataset import PretrainDataset
from .samplers import PretrainSampler
from .transforms import (BlockMaskGenerator, LoadImage, MaskGlobalCrops,
                         MultiCrop, RandomMaskGenerator, RGBToBGR)

__all__ = [
    'BlockMaskGenerator', 'LoadImage', 'MaskGlobalCrops', 'MultiCrop',
    'PretrainDataset', 'PretrainSampler', 'RGBToBGR', 'RandomMaskGenerator',
    'multi_crop_collate'
]
