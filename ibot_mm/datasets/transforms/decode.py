"""Image decoding with strict checks for damaged files."""

import io
from collections.abc import Callable

import cv2
import numpy as np
import tifffile
from PIL import Image, ImageOps

_JPEG_START, _JPEG_END = b'\xff\xd8', b'\xff\xd9'
_PNG_START, _PNG_END = b'\x89PNG', b'IEND\xaeB`\x82'
_TIFF_STARTS = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')


class ImageDecodeError(ValueError):
    """Raised for files that are not complete, readable images.

    Args:
        reason: Description of the problem without the file name.
        path: Path of the file, if known.
    """

    def __init__(self, reason: str, path: str = '') -> None:
        super().__init__(
            f'"{path}" {reason}; replace the file or remove it from the data '
            'set.' if path else reason)
        self.reason = reason


def _decode_strictly(data: bytes) -> np.ndarray:
    """Decode with Pillow, which raises on truncated files."""
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
    """Scale 16-bit values (or floats from 0 to 1) to 8 bits."""
    peak = 1.0 if values.max(initial=0.0) <= 1.0 else 65535.0
    values = np.clip(values / peak * 255, 0, 255)
    return Image.fromarray(values.round().astype(np.uint8))


def decode_image(data: bytes) -> np.ndarray:
    """Decode an image file to 8-bit BGR.

    Gray, palette, CMYK, RGBA and 16-bit images are converted; EXIF
    orientation is applied; an alpha channel is dropped.

    Args:
        data: Contents of the file.

    Returns:
        Image (H, W, 3), uint8, BGR.

    Raises:
        ImageDecodeError: The bytes are not a complete image.
    """
    if not data:
        raise ImageDecodeError('is empty')
    # OpenCV is the fast path, but it decodes truncated JPEGs without an error:
    # use it only if the end marker is present.
    if data.startswith(_JPEG_START) and data.endswith(_JPEG_END):
        try:
            image = cv2.imdecode(np.frombuffer(data, np.uint8),
                                 cv2.IMREAD_COLOR)
        except cv2.error:  # more than 2**30 pixels
            image = None
        if image is not None:
            return image
    return _decode_strictly(data)


def _read_tiff(data: bytes) -> np.ndarray:
    """Read the first series of a TIFF file, channels last."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        series = file.series[0]
        # Pages or planes of equal size are channels; axes of length 1 are
        # dropped.
        sizes = [(axis, size) for axis, size in zip(series.axes, series.shape)
                 if size > 1 or axis in 'YX']
        axes = ''.join(axis for axis, _ in sizes)
        array = series.asarray().reshape([size for _, size in sizes])
    if len(axes) > 3 or 'Y' not in axes or 'X' not in axes:
        raise ValueError(f'its axes are {series.axes}, not one image')
    order = [axes.index('Y'), axes.index('X')]
    order += [i for i in range(array.ndim) if i not in order]
    return array.transpose(order)


def _read_png(data: bytes) -> np.ndarray:
    """Read a PNG file with the channel order of the file."""
    if not data.rstrip(b'\0').endswith(_PNG_END):
        raise ValueError('it is truncated')
    array = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if array is None:
        raise ValueError('OpenCV cannot read it')
    if array.ndim == 3:
        array = array[..., [2, 1, 0, 3][:array.shape[2]]]
    return array


def _read_other(data: bytes) -> np.ndarray:
    """Read a file with Pillow; palette images become RGB."""
    with Image.open(io.BytesIO(data)) as image:
        image = ImageOps.exif_transpose(image)
        if image.mode == 'P':
            image = image.convert('RGB')
        array = np.asarray(image)
    # Pillow reads 16-bit PGM files as 32-bit integers.
    fits = image.mode == 'I' and 0 <= array.min() <= array.max() < 2**16
    return array.astype(np.uint16) if fits else array


def decode_unchanged(data: bytes) -> np.ndarray:
    """Decode an image file without changing bit depth or channels.

    Pages or planes of a TIFF file are its channels. Channels keep the order
    of the file (so 3 of them are usually RGB, unlike the BGR of
    :func:`decode_image`) and 16-bit values their range. Only palette images,
    and gray PNG files with alpha, are converted to color.

    Args:
        data: Contents of the file.

    Returns:
        Image (H, W, C), uint8 or uint16.

    Raises:
        ImageDecodeError: The bytes are not a complete image, or the values
            are neither 8-bit nor 16-bit unsigned integers.
    """
    if not data:
        raise ImageDecodeError('is empty')
    reader: Callable[[bytes], np.ndarray] = _read_other
    if data.startswith(_PNG_START):
        reader = _read_png
    elif data.startswith(_TIFF_STARTS):
        reader = _read_tiff
    try:
        array = reader(data)
    except Exception as error:  # Each library raises a dozen kinds.
        raise ImageDecodeError(
            f'cannot be decoded ({error or type(error).__name__})') from error
    if array.dtype not in (np.uint8, np.uint16):
        raise ImageDecodeError(
            f'has values of type {array.dtype}; only 8-bit and 16-bit '
            'unsigned integers are supported')
    if array.ndim == 2:
        array = array[..., None]
    return np.ascontiguousarray(array)
