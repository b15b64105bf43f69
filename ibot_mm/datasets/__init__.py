from .collate import multi_crop_collate
from .inaturalist import INaturalist
from .labeled import LabeledDataset
from .pretrain import PretrainDataset
from .samplers import PretrainSampler
from .transforms import (
                         BlockMaskGenerator,
                         LoadImage,
                         MaskGlobalCrops,
                         MultiCrop,
                         RandomMaskGenerator,
                         RGBToBGR,
)
from .unlabeled import UnlabeledDataset

__all__ = [
    'BlockMaskGenerator', 'INaturalist', 'LabeledDataset', 'LoadImage',
    'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset', 'PretrainSampler',
    'RGBToBGR', 'RandomMaskGenerator', 'UnlabeledDataset',
    'multi_crop_collate'
]
