"""Image files of common and of uncommon formats."""

import io

import cv2
import numpy as np
import pytest
from PIL import Image

from ibot_mm.datasets.transforms import (
    ImageDecodeError,
    LoadImage,
    decode_image,
)

RED = (200, 40, 20)
PICTURE = np.arange(4 * 5 * 6, dtype=np.uint16).reshape(4, 5, 6)


def encode(image, fmt, **kwargs):
    buffer = io.BytesIO()
    image.save(buffer, fmt, **kwargs)
    return buffer.getvalue()


def picture(mode='RGB', size=(40, 30)):
    """Left half red, right half white."""
    image = Image.new('RGB', size, 'white')
    image.paste(RED, (0, 0, size[0] // 2, size[1]))
    return image.convert(mode)


def assert_red_left(array, tolerance=12):
    assert array.dtype == np.uint8 and array.ndim == 3
    height, width = array.shape[:2]
    left = array[height // 2, width // 4].astype(int)[::-1]
    right = array[height // 2, -width // 4].astype(int)
    assert np.abs(left - RED).max() <= tolerance, left
    assert (right > 235).all(), right


@pytest.mark.parametrize('fmt,kwargs', [
    ('JPEG', dict(quality=95, subsampling=0)),
    ('JPEG', dict(quality=95, subsampling=0, progressive=True)),
    ('PNG', {}),
    ('BMP', {}),
    ('TIFF', {}),
    ('PPM', {}),
    ('WEBP', dict(lossless=True)),
])
def test_formats(fmt, kwargs):
    array = decode_image(encode(picture(), fmt, **kwargs))
    assert array.shape == (30, 40, 3)
    assert_red_left(array)


@pytest.mark.parametrize('mode,fmt', [('P', 'PNG'), ('RGBA', 'PNG'),
                                      ('P', 'GIF')])
def test_palette_and_alpha(mode, fmt):
    # A palette's nearest entry may be 51 levels away.
    assert_red_left(decode_image(encode(picture(mode), fmt)), tolerance=51)


def test_palette_with_transparency():
    data = encode(picture('P'), 'PNG', transparency=0)
    assert decode_image(data).shape == (30, 40, 3)


def test_cmyk_jpeg():
    data = encode(picture('CMYK'), 'JPEG', quality=95, subsampling=0)
    assert_red_left(decode_image(data), tolerance=20)


@pytest.mark.parametrize('mode,fmt', [('L', 'JPEG'), ('L', 'PNG'),
                                      ('LA', 'PNG')])
def test_gray_has_three_equal_channels(mode, fmt):
    array = decode_image(encode(picture(mode), fmt))
    assert array.shape == (30, 40, 3)
    assert (np.ptp(array, axis=2) == 0).all()
    assert array[:, -5:].min() > 235 > array[:, :5].max()


def test_black_and_white():
    array = decode_image(encode(picture('1'), 'PNG'))
    assert set(np.unique(array)) == {0, 255}
    # The left half is dithered to the luma of red, 86 of 255.
    assert abs(array[:, :20].mean() - 86) < 8 and array[:, 20:].min() == 255


@pytest.mark.parametrize('fmt', ['PNG', 'TIFF'])
def test_16_bit_is_scaled(fmt):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    array = decode_image(encode(Image.fromarray(ramp), fmt))
    expected = ramp / 257.
    assert np.abs(array[..., 0] - expected).max() <= 1


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG'])
def test_exif_orientation(fmt):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise
    kwargs = dict(quality=95, subsampling=0) if fmt == 'JPEG' else {}
    array = decode_image(encode(picture(), fmt, exif=exif, **kwargs))
    assert array.shape == (40, 30, 3)
    # The left half is now at the top.
    assert np.abs(array[5, 15, ::-1].astype(int) - RED).max() < 12
    assert array[-5, 15].min() > 235


def test_one_pixel_high():
    array = decode_image(encode(picture(size=(50, 1)), 'PNG'))
    assert array.shape == (1, 50, 3)


@pytest.mark.parametrize('fmt', ['JPEG', 'PNG', 'TIFF', 'WEBP'])
@pytest.mark.parametrize('share', [0.02, 0.3, 0.6, 0.95])
def test_truncated_files_raise(fmt, share):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)
    data = encode(Image.fromarray(noise), fmt)
    decode_image(data)
    with pytest.raises(ImageDecodeError):
        decode_image(data[:int(len(data) * share)])


def test_truncated_jpeg_with_a_thumbnails_end_marker():
    data = encode(picture(size=(200, 200)), 'JPEG')
    cut = data[:len(data) // 2]
    assert cv2.imdecode(np.frombuffer(data, np.uint8), 1) is not None
    # An end marker before the cut must not be mistaken for that of the file.
    with pytest.raises(ImageDecodeError):
        decode_image(cut[:20] + b'\xff\xd9' + cut[20:])


def test_jpeg_with_bytes_after_its_end():
    data = encode(picture(), 'JPEG', quality=95, subsampling=0)
    assert_red_left(decode_image(data + b'\0' * 100))


@pytest.mark.parametrize('data', [b'', b'<html>not found</html>', bytes(1000)])
def test_not_an_image(data):
    with pytest.raises(ImageDecodeError):
        decode_image(data)


def test_more_pixels_than_opencv_reads():
    """A JPEG of 1 KB whose header says 65500 x 65500 pixels."""
    data = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    before, after = data.split(bytes([0, 8, 0, 8, 3]))
    with pytest.raises(ImageDecodeError, match='pixels'):
        decode_image(before + (65500).to_bytes(2) * 2 + bytes([3]) + after)


def test_load_image(tmp_path):
    path = tmp_path / 'ä picture.jpg'
    path.write_bytes(encode(picture(), 'JPEG', quality=95, subsampling=0))
    results = LoadImage()(dict(img_path=str(path)))
    assert results['ori_shape'] == (30, 40)
    assert_red_left(results['img'])
    with pytest.raises(ImageDecodeError, match='missing.jpg'):
        LoadImage()(dict(img_path=str(tmp_path / 'missing.jpg')))


def test_an_image_that_is_already_loaded():
    """As MMPretrain's inferencers pass it: kept, but for its channels."""
    load = LoadImage(color='unchanged', channels=6, to_float32=True)
    loaded = load(dict(img=PICTURE))
    assert loaded['img'].dtype == np.float32
    assert np.array_equal(loaded['img'], PICTURE)
    assert loaded['img_shape'] == loaded['ori_shape'] == (4, 5)
    with pytest.raises(ImageDecodeError, match='3 channels.*channels=6'):
        load(dict(img=PICTURE[..., :3]))
