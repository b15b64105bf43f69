"""Resizing of video frames."""

import cv2
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class ResizeShortSide(BaseTransform):
    """Resize the shorter side; round the longer one down to a multiple.

    Modified keys: ``img``, (H, W, 3), bilinear, and ``img_shape``.

    Args:
        short_side: Length of the shorter side in pixels.
        divisor: The longer side is scaled like the shorter one, then rounded
            down to a multiple of it.
    """

    def __init__(self, short_side: int = 480, divisor: int = 64) -> None:
        self.short_side = short_side
        self.divisor = divisor

    def transform(self, results: dict) -> dict:
        """Resize the image."""
        sides = results['img'].shape[:2]
        short = min(sides)
        height, width = (
            self.short_side if side == short else
            side * self.short_side // short // self.divisor * self.divisor
            for side in sides)
        results['img'] = cv2.resize(results['img'], (width, height))
        results['img_shape'] = results['img'].shape[:2]
        return results
