from .collate import multi_crop_collate
from .inaturalist import INaturalist
from .labeled import LabeledDataset
from .pretrain import PretrainDataset
from .revisited import RevisitedBuildings
from .samplers import PretrainSampler
from .transforms import (
                         BlockMaskGenerator,
                         LoadImage,
                         MaskGlobalCrops,
                         MultiCrop,
                         RandomMaskGenerator,
                         RGBToBGR,
                         ShrinkImage,
)

__all__ = [
    'BlockMaskGenerator', 'INaturalist', 'LabeledDataset', 'LoadImage',
    'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset', 'PretrainSampler',
    'RGBToBGR', 'RandomMaskGenerator', 'RevisitedBuildings', 'ShrinkImage',
    'multi_crop_collate'
]
