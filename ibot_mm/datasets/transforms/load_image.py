"""Image loading."""

from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS

from .decode import ImageDecodeError, decode_image, decode_unchanged


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read and decode an image file.

    Required keys: ``img_path``, or ``img`` from MMPretrain's inferencers,
    which have read the file or got an array (H, W, C), BGR. Added keys:
    ``img``, ``img_shape``, ``ori_shape``.

    Unlike MMCV's ``LoadImageFromFile`` it rejects truncated files, and with
    an error that makes ``PretrainDataset`` replace the sample.

    Args:
        color: 'color' converts every image to 8-bit BGR, (H, W, 3) uint8.
            'unchanged' keeps bit depth and channels of the file: (H, W, C),
            uint8 or uint16, in the order of the file, except that 3 channels
            are reversed to BGR.
        channels: Required number of channels of an unchanged image; None for
            any. Files with another number count as unreadable.
        to_float32: Whether to convert the values to float32 without scaling,
            for transforms that do not support 16-bit integers.

    Raises:
        ValueError: ``color`` is unknown or contradicts ``channels``.
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
            ImageDecodeError: The file is missing, not a complete image, or
                has the wrong number of channels.
        """
        path = results.get('img_path', '')
        try:
            image = self._read(path) if path else results['img']
            self._check_channels(image)
        except ImageDecodeError as error:
            raise ImageDecodeError(error.reason, path) from error
        if self.to_float32:
            image = image.astype(np.float32)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results

    def _read(self, path: str) -> np.ndarray:
        """Read a file; the caller adds its name to the error."""
        try:
            data = Path(path).read_bytes()
        except OSError as error:
            raise ImageDecodeError(
                f'cannot be read ({error.strerror})') from error
        image = decode_unchanged(data) if self.unchanged else decode_image(
            data)
        if self.unchanged and image.shape[2] == 3:
            image = np.ascontiguousarray(image[..., ::-1])
        return image

    def _check_channels(self, image: np.ndarray) -> None:
        found = image.shape[2] if image.ndim > 2 else 1
        if self.channels not in (None, found):
            raise ImageDecodeError(f'has {found} channels, expected '
                                   f'channels={self.channels}')
