"""16-bit images and any number of channels, from file to batch."""

import io
import random

import cv2
import numpy as np
import pytest
import tifffile
import torch
from mmengine.registry import TRANSFORMS, DefaultScope
from PIL import Image
from scipy.ndimage import gaussian_filter

from ibot_mm.datasets import LoadImage, MultiCrop, multi_crop_collate
from ibot_mm.datasets.transforms import ImageDecodeError, decode_unchanged
from ibot_mm.datasets.transforms.multi_crop import resize
from ibot_mm.datasets.transforms.photometric import (
    adjust_brightness,
    adjust_contrast,
    gaussian_blur,
    solarize,
)
from ibot_mm.models import MultiCropDataPreprocessor
from tests.helpers.in_process import run_tool

RNG = np.random.default_rng(0)
SIX = RNG.integers(0, 65536, (40, 50, 6), dtype=np.uint16)
PLAIN = dict(jitter=(0.4, 0.4, 0., 0.), gray_prob=0.)


def tiff(array, **kwargs) -> bytes:
    file = io.BytesIO()
    if not kwargs and array.ndim == 3:
        kwargs = dict(photometric='minisblack', planarconfig='contig')
    tifffile.imwrite(file, array, **kwargs)
    return file.getvalue()


def png(array) -> bytes:
    """Encode as PNG with OpenCV: BGR in memory, RGB in the file."""
    return cv2.imencode('.png', array)[1].tobytes()


@pytest.mark.parametrize('data', [
    tiff(SIX, photometric='minisblack', planarconfig='contig'),
    tiff(SIX.transpose(2, 0, 1), photometric='minisblack',
         planarconfig='separate'),
    tiff(SIX.transpose(2, 0, 1), photometric='minisblack'),
    tiff(SIX.transpose(2, 0, 1), photometric='minisblack', bigtiff=True,
         byteorder='>', compression='zlib'),
], ids=['interleaved', 'planes', 'pages', 'bigtiff'])
def test_tiff_of_six_channels(data):
    image = decode_unchanged(data)
    assert image.dtype == np.uint16 and np.array_equal(image, SIX)


@pytest.mark.parametrize('channels', [1, 3, 4])
@pytest.mark.parametrize('dtype', [np.uint8, np.uint16])
def test_png_keeps_depth_channels_and_order(channels, dtype):
    image = (SIX[..., :channels] >> (8 if dtype == np.uint8 else 0)).astype(
        dtype)
    in_memory = image if channels == 1 else image[..., [2, 1, 0, 3][:channels]]
    decoded = decode_unchanged(png(in_memory))
    assert decoded.dtype == dtype and np.array_equal(decoded, image)


def test_other_formats_are_read_by_pillow():
    image = (SIX[..., :3] >> 8).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'bmp')
    assert np.array_equal(decode_unchanged(file.getvalue()), image)


def test_16_bits_of_pgm_and_colors_of_palettes():
    gray = b'P5 50 40 65535 ' + SIX[..., 0].astype('>u2').tobytes()
    assert np.array_equal(decode_unchanged(gray), SIX[..., :1])
    file = io.BytesIO()
    palette = Image.new('P', (4, 3), 1)
    palette.putpalette([0, 0, 0, 10, 20, 30])
    palette.save(file, 'bmp')
    assert np.array_equal(
        decode_unchanged(file.getvalue()), np.tile([10, 20, 30], (3, 4, 1)))


@pytest.mark.parametrize('depth', [8, 16])
def test_three_unchanged_channels_are_bgr_as_everywhere(tmp_path, depth):
    path = tmp_path / 'a.png'
    path.write_bytes(png((SIX[..., :3] >> 16 - depth).astype(f'u{depth//8}')))
    image = LoadImage(color='unchanged')(dict(img_path=str(path)))['img']
    assert np.array_equal(image, cv2.imread(str(path), cv2.IMREAD_UNCHANGED))


@pytest.mark.parametrize('data,wrong', [
    (b'', None),
    (png(SIX[..., :3])[:-30], 'truncated'),
    (tiff(SIX)[:200], None),
    (tiff(SIX.astype(np.float32)), 'float32'),
    (tiff(np.zeros((2, 3, 8, 8, 4), np.uint8)), 'axes'),
    (b'text', None),
])
def test_bad_files(data, wrong):
    with pytest.raises(ImageDecodeError, match=wrong):
        decode_unchanged(data)


def test_channels_are_counted(tmp_path):
    path = tmp_path / 'a.tif'
    path.write_bytes(tiff(SIX))
    load = LoadImage(color='unchanged', channels=6)
    assert np.array_equal(load(dict(img_path=str(path)))['img'], SIX)
    floats = LoadImage(color='unchanged', to_float32=True)(
        dict(img_path=str(path)))['img']
    assert floats.dtype == np.float32 and np.array_equal(floats, SIX)
    with pytest.raises(ImageDecodeError, match='6 channels.*channels=4'):
        LoadImage(color='unchanged', channels=4)(dict(img_path=str(path)))
    with pytest.raises(ValueError, match='channels=6.*color'):
        LoadImage(channels=6)
    with pytest.raises(ValueError, match='color'):
        LoadImage(color='grayscale')


def test_resize_of_16_bits_against_pillow():
    """Pillow resizes one float channel at a time, with the same filter."""
    smooth = cv2.GaussianBlur(SIX, (0, 0), 2)
    result = resize(smooth[3:33, 5:45], (24, 21))
    assert result.dtype == np.uint16
    for c in range(6):
        plane = Image.fromarray(smooth[3:33, 5:45, c].astype(np.float32))
        expected = np.asarray(plane.resize((21, 24), Image.BICUBIC))
        assert np.abs(result[..., c] - expected).max() < 2


def test_operations_on_16_bits_by_their_formulas():
    x = SIX.astype(np.float64)
    assert np.abs(adjust_brightness(SIX, 1.3) - np.clip(1.3 * x, 0, 65535)
                  ).max() <= 1
    mean = int(x.mean() + 0.5)
    expected = np.clip(mean + 0.7 * (x - mean), 0, 65535)
    assert np.abs(adjust_contrast(SIX, 0.7) - expected).max() <= 1
    assert np.array_equal(solarize(SIX),
                          np.where(SIX < 32768, SIX, 65535 - SIX))
    blurred = gaussian_blur(SIX, 1.0)
    expected = np.stack([
        gaussian_filter(x[..., c], 1.0, mode='nearest', radius=3)
        for c in range(6)
    ], -1)
    assert blurred.dtype == np.uint16
    assert np.abs(blurred - expected).max() <= 2


@pytest.mark.parametrize('image', [SIX, SIX[..., :3], SIX[..., :1],
                                   (SIX >> 8).astype(np.uint8)],
                         ids=['6x16', '3x16', '1x16', '6x8'])
def test_color_operations_that_do_not_apply_raise(image):
    views = dict(size=16, scale=(0.5, 1.), blur_prob=1., solarize_prob=1.)
    crops = MultiCrop([dict(**views, **PLAIN), dict(**views, **PLAIN)])
    result = crops(dict(img=image, rng=random.Random(0)))['global_crops']
    assert all(crop.shape == (16, 16, image.shape[2]) and
               crop.dtype == image.dtype for crop in result)
    # Raised for the first image, however improbable the operation is.
    for wrong in (dict(jitter=(0.4, 0.4, 0., 0.1), gray_prob=0.),
                  dict(jitter=(0.4, 0.4, 0.2, 0.), gray_prob=0.,
                       jitter_prob=1e-9),
                  dict(jitter=None, gray_prob=1e-9)):
        crops = MultiCrop([dict(views, **wrong)] * 2)
        with pytest.raises(TypeError, match=f'{image.shape[2]} channels of '
                           f'{image.dtype}.*jitter.*gray_prob'):
            crops(dict(img=image, rng=random.Random(0)))


def test_batch_keeps_the_values():
    crops = MultiCrop([dict(size=(40, 50), scale=(1., 1.), flip=0.,
                            ratio=(1.25, 1.25), jitter=None, gray_prob=0.)])
    sample = crops(dict(img=SIX.copy(), rng=random.Random(0)))
    sample['masks'] = np.zeros((1, 2, 2), bool)
    batch = multi_crop_collate([sample])
    preprocessor = MultiCropDataPreprocessor(
        mean=[100. * c for c in range(6)], std=[2.] * 6)
    x = preprocessor(batch)['inputs'].global_views[0].crops
    expected = (SIX.astype(np.float64) - 100 * np.arange(6)) / 2
    torch.testing.assert_close(
        x, torch.from_numpy(expected.transpose(2, 0, 1)[None]).float())


def test_images_for_knn_keep_their_channels(tmp_path):
    """As described in docs/own_data.md, with MMPretrain's transforms."""
    path = tmp_path / 'a.tif'
    path.write_bytes(tiff(SIX))
    data = dict(img_path=str(path), gt_label=1)
    for step in (dict(type='ibot_mm.LoadImage', color='unchanged',
                      to_float32=True),
                 dict(type='ResizeEdge', scale=40, edge='short',
                      backend='cv2', interpolation='bicubic'),
                 dict(type='CenterCrop', crop_size=32),
                 dict(type='PackInputs')):
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            data = TRANSFORMS.build(step)(data)
    expected = SIX[4:36, 9:41].transpose(2, 0, 1).astype(np.float32)
    torch.testing.assert_close(data['inputs'], torch.from_numpy(expected))


@pytest.mark.cli
def test_channel_statistics(tmp_path):
    other = RNG.integers(0, 1000, (20, 30, 6), dtype=np.uint16)
    (tmp_path / 'a.tif').write_bytes(tiff(SIX))
    (tmp_path / 'b.tiff').write_bytes(tiff(other))
    (tmp_path / 'c.tif').write_bytes(tiff(SIX)[:100])
    command = ('dataset_tools/channel_statistics.py', tmp_path)
    out, _ = run_tool(*command)
    pixels = np.concatenate([SIX.reshape(-1, 6), other.reshape(-1, 6)])
    scope: dict = {}
    for line in out.splitlines():
        if line.startswith(('mean', 'std')):
            exec(line.rstrip(','), scope)
    np.testing.assert_allclose(scope['mean'], pixels.mean(0), rtol=1e-5)
    np.testing.assert_allclose(scope['std'], pixels.std(0), rtol=1e-5)
    assert 'c.tif' in out
    (tmp_path / 'd.png').write_bytes(png(SIX[..., :3]))
    _, error = run_tool(*command, code=2)
    assert 'different numbers of channels' in error
