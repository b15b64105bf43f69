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
from .variants import VariantDataset

__all__ = [
    'BlockMaskGenerator', 'INaturalist', 'LabeledDataset', 'LoadImage',
    'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset', 'PretrainSampler',
    'RGBToBGR', 'RandomMaskGenerator', 'VariantDataset', 'multi_crop_collate'
]
