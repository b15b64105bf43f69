from .collate import multi_crop_collate
from .inaturalist import INaturalist
from .labelled import LabelledDataset
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

__all__ = [
    'BlockMaskGenerator', 'INaturalist', 'LabelledDataset', 'LoadImage',
    'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset', 'PretrainSampler',
    'RGBToBGR', 'RandomMaskGenerator', 'multi_crop_collate'
]
