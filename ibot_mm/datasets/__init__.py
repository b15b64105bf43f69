from .collate import multi_crop_collate
from .copydays import Copydays
from .davis import DAVIS
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
    ResizeShortSide,
    RGBToBGR,
    ShrinkImage,
)
from .unlabeled import UnlabeledDataset
from .variants import VariantDataset

__all__ = [
    'BlockMaskGenerator', 'Copydays', 'DAVIS', 'INaturalist',
    'LabeledDataset', 'LoadImage', 'MaskGlobalCrops', 'MultiCrop',
    'PretrainDataset', 'PretrainSampler', 'RGBToBGR',
    'RandomMaskGenerator', 'ResizeShortSide', 'RevisitedBuildings',
    'ShrinkImage', 'UnlabeledDataset', 'VariantDataset',
    'multi_crop_collate'
]
