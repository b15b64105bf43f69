"""Channel order of data sets that return RGB arrays."""

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RGBToBGR(BaseTransform):
    """Convert RGB to BGR, as the other transforms expect.

    MMPretrain's CIFAR data sets return RGB arrays. Modified key: ``img``,
    (H, W, 3).
    """

    def transform(self, results: dict) -> dict:
        """Reverse the channels."""
        results['img'] = np.ascontiguousarray(results['img'][..., ::-1])
        return results
