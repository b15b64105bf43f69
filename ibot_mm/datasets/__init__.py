from .checked_coco import CheckedCocoDataset
from .checked_segmentation import CheckedSegDataset
from .collate import multi_crop_collate
from .inaturalist import INaturalist
from .labeled import LabeledDataset
from .pretrain import PretrainDataset
from .samplers import PretrainSampler
from .transforms import (
                         BlockMaskGenerator,
                         CheckSegLabels,
                         LoadImage,
                         MaskGlobalCrops,
                         MultiCrop,
                         RandomMaskGenerator,
                         RGBToBGR,
)

__all__ = [
    'BlockMaskGenerator', 'CheckSegLabels', 'CheckedCocoDataset',
    'CheckedSegDataset', 'INaturalist', 'LabeledDataset', 'LoadImage',
    'MaskGlobalCrops', 'MultiCrop', 'PretrainDataset', 'PretrainSampler',
    'RGBToBGR', 'RandomMaskGenerator', 'multi_crop_collate'
]
