from .collate import multi_crop_collate
from .copydays import Copydays
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
    'BlockMaskGenerator', 'Copydays', 'INaturalist', 'LabeledDataset',
    'LoadImage', 'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset',
    'PretrainSampler', 'RGBToBGR', 'RandomMaskGenerator',
    'RevisitedBuildings', 'ShrinkImage', 'multi_crop_collate'
]
