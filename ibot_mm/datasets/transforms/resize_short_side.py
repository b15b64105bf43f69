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
        divisor: The longer side (of square images, the width) is scaled like
            the shorter one, then rounded down to a multiple of it.
    """

    def __init__(self, short_side: int = 480, divisor: int = 64) -> None:
        self.short_side = short_side
        self.divisor = divisor

    def transform(self, results: dict) -> dict:
        """Resize the image."""
        height, width = results['img'].shape[:2]
        short, long = sorted((height, width))
        long = long * self.short_side // short // self.divisor * self.divisor
        results['img'] = cv2.resize(
            results['img'], (self.short_side, long) if height > width else
            (long, self.short_side))
        results['img_shape'] = results['img'].shape[:2]
        return results
