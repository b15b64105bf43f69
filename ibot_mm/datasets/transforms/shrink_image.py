"""Shrinking without enlarging."""

import numpy as np
from mmcv.transforms import BaseTransform
from PIL import Image

from ibot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ShrinkImage(BaseTransform):
    """Shrink images whose longer side is too long; keep the others.

    Pillow's ``thumbnail``: the aspect is kept, the filter is antialiased.
    Modified keys: ``img``, (H, W, 3), uint8, and ``img_shape``.

    Args:
        max_side: Largest length of the longer side in pixels.
    """

    def __init__(self, max_side: int) -> None:
        self.max_side = max_side

    def transform(self, results: dict) -> dict:
        """Shrink the image."""
        image = Image.fromarray(results['img'])
        image.thumbnail((self.max_side, self.max_side),
                        Image.Resampling.LANCZOS)
        results['img'] = np.array(image)
        results['img_shape'] = results['img'].shape[:2]
        return results
