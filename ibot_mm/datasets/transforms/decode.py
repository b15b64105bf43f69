"""Turn the bytes of an image file into a BGR array, or say why not."""

import io

import cv2
import numpy as np
from PIL import Image, ImageOps

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'


class ImageDecodeError(ValueError):
    """A file that is not a whole, readable image."""


def _decode_strictly(data: bytes) -> np.ndarray:
    """Decode with Pillow, which refuses truncated files."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            image = ImageOps.exif_transpose(image)
            if image.mode in ('I', 'I;16', 'I;16B', 'I;16L', 'F'):
                image = _to_8_bit(np.asarray(image, dtype=np.float32))
            elif 'transparency' in image.info:
                image = image.convert('RGBA')
            rgb = np.asarray(image.convert('RGB'))
    except Exception as error:  # Pillow raises a dozen kinds of exception.
        raise ImageDecodeError(
            f'cannot be decoded ({error or type(error).__name__})') from error
    return np.ascontiguousarray(rgb[..., ::-1])


def _to_8_bit(values: np.ndarray) -> Image.Image:
    """Scale 16-bit values (or floats in 0 to 1) to 8 bits."""
    peak = 1.0 if values.max(initial=0.0) <= 1.0 else 65535.0
    values = np.clip(values / peak * 255, 0, 255)
    return Image.fromarray(values.round().astype(np.uint8))


def decode_image(data: bytes) -> np.ndarray:
    """Decode an image file of any usual kind.

    Grey, palette, CMYK, RGBA and 16-bit images become 8-bit BGR; EXIF
    orientation is applied; an alpha channel is dropped.

    Args:
        data: Contents of the file.

    Returns:
        Image (H, W, 3), uint8, BGR.

    Raises:
        ImageDecodeError: The bytes are not a whole image.
    """
    if not data:
        raise ImageDecodeError('is empty')
    # OpenCV is the fast path, but it returns a truncated JPEG as if it were
    # whole: only a file that ends as a JPEG should goes there. Its 4-channel
    # JPEGs (CMYK) lose their inversion marker there too.
    if data.startswith(_JPEG_START) and data.endswith(_JPEG_END):
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            return image
    return _decode_strictly(data)
