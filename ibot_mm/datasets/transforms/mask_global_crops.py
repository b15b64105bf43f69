"""Masks of the global crops."""

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS

from .mask_generators import BlockMaskGenerator, RandomMaskGenerator


@TRANSFORMS.register_module()
class MaskGlobalCrops(BaseTransform):
    """Draw one mask per global crop.

    Required keys: ``global_crops`` and ``rng``, and ``epoch`` if
    ``start_epoch`` is set. Added keys: ``masks``, bool (G, h, w).

    Args:
        generator: Config of a mask generator.
        patch_size: Size in pixels that a mask entry covers: the patch size
            for a ViT, 32 for Swin (8 patches of 4 pixels).
        start_epoch: First epoch with masks; before it they are empty.
    """

    def __init__(self,
                 generator: dict | BlockMaskGenerator | RandomMaskGenerator,
                 patch_size: int = 16,
                 start_epoch: int = 0) -> None:
        self.generator = TRANSFORMS.build(generator) if isinstance(
            generator, dict) else generator
        self.patch_size = patch_size
        self.start_epoch = start_epoch

    def _grid(self, crop: np.ndarray) -> tuple[int, int]:
        height, width = (-(-side // self.patch_size)
                         for side in crop.shape[:2])
        return height, width

    def transform(self, results: dict) -> dict:
        """Add the masks to the sample.

        Raises:
            RuntimeError: ``start_epoch`` is set and the epoch unknown.
        """
        grids = [self._grid(crop) for crop in results['global_crops']]
        if self.start_epoch and results.get('epoch') is None:
            raise RuntimeError(
                'MaskGlobalCrops: start_epoch needs the epoch of the sample; '
                "use sampler=dict(type='ibot_mm.PretrainSampler').")
        if self.start_epoch and results['epoch'] < self.start_epoch:
            masks = [np.zeros(grid, dtype=bool) for grid in grids]
        else:
            masks = [
                self.generator.draw(grid, results['rng']) for grid in grids
            ]
        results['masks'] = np.stack(masks)
        return results
