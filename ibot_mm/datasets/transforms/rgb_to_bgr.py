"""Channel order of data sets that hold arrays instead of files."""

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS


@TRANSFORMS.register_module()
class RGBToBGR(BaseTransform):
    """Turn RGB images to BGR, which the other transforms expect.

    The host's CIFAR data sets give RGB arrays. Modified key: ``img``, (H, W,
    3).
    """

    def transform(self, results: dict) -> dict:
        """Reverse the channels."""
        results['img'] = np.ascontiguousarray(results['img'][..., ::-1])
        return results
