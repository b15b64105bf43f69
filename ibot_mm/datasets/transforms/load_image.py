"""Read and decode the image of a sample."""

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS

from .decode import ImageDecodeError, decode_image, decode_unchanged


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image file of any usual kind.

    Required keys: ``img_path``. Added keys: ``img``, ``img_shape``,
    ``ori_shape``.

    Unlike the host's ``LoadImageFromFile`` it treats a truncated file as
    unreadable, and its error is one that ``PretrainDataset`` replaces the
    sample for.

    Args:
        color: 'color' makes every image 8-bit BGR, (H, W, 3) uint8.
            'unchanged' keeps depth and channels of the file: (H, W, C), uint8
            or uint16, in the order of the file; only 3 channels are turned to
            BGR, as everywhere in this stack.
        channels: Channels that an unchanged image must have; any number if
            None. A file with another number counts as unreadable.
        to_float32: Whether to give float32 values, for transforms of the host
            that do not know 16-bit integers. Values are not scaled.
    """

    def __init__(self,
                 color: str = 'color',
                 channels: int | None = None,
                 to_float32: bool = False) -> None:
        if color not in ('color', 'unchanged'):
            raise ValueError("LoadImage: color must be 'color' or "
                             f"'unchanged', got {color!r}.")
        if color == 'color' and channels not in (None, 3):
            raise ValueError(
                f"LoadImage: channels={channels} needs color='unchanged'.")
        self.unchanged = color == 'unchanged'
        self.channels = channels
        self.to_float32 = to_float32

    def transform(self, results: dict) -> dict:
        """Add the image to the sample.

        Raises:
            ImageDecodeError: The file, which it names, is missing, not a
                whole image, or has another number of channels than wanted.
        """
        path = results['img_path']
        try:
            image = self._read(path)
        except ImageDecodeError as error:
            raise ImageDecodeError(error.reason, path) from error
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> np.ndarray:
        """The image of a file; complains without its name."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ImageDecodeError(
                f'cannot be read ({error.strerror})') from error
        image = decode_unchanged(data) if self.unchanged else decode_image(
            data)
        if self.channels not in (None, image.shape[2]):
            raise ImageDecodeError(f'has {image.shape[2]} channels where '
                                   f'channels={self.channels} are expected')
        if self.unchanged and image.shape[2] == 3:
            image = np.ascontiguousarray(image[..., ::-1])
        if self.to_float32:
            image = image.astype(np.float32)
        return image
