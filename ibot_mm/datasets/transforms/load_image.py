"""Read and decode the image of a sample."""

from pathlib import Path

from mmcv.transforms import BaseTransform

from ibot_mm.registry import TRANSFORMS

from .decode import ImageDecodeError, decode_image


@TRANSFORMS.register_module()
class LoadImage(BaseTransform):
    """Read an image file of any usual kind as 8-bit BGR.

    Required keys: ``img_path``. Added keys: ``img`` (H, W, 3) uint8,
    ``img_shape``, ``ori_shape``.

    Unlike the host's ``LoadImageFromFile`` it treats a truncated file as
    unreadable, and its error is one that ``PretrainDataset`` replaces the
    sample for.
    """

    def transform(self, results: dict) -> dict:
        """Add the image to the sample.

        Raises:
            ImageDecodeError: The file is missing or not a whole image.
        """
        try:
            data = Path(results['img_path']).read_bytes()
        except OSError as error:
            raise ImageDecodeError(
                f'cannot be read ({error.strerror})') from error
        image = decode_image(data)
        results['img'] = image
        results['img_shape'] = results['ori_shape'] = image.shape[:2]
        return results
