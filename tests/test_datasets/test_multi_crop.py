"""Crops and colors against torchvision and Pillow on the same images."""

import random

import cv2
import numpy as np
import pytest
import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as TF

from ibot_mm.datasets import MultiCrop
from ibot_mm.datasets.transforms import photometric
from ibot_mm.datasets.transforms.multi_crop import CropView, resize, sample_box


def photo(seed=0, height=150, width=200):
    """A smooth, colorful image, RGB uint8."""
    rng = np.random.default_rng(seed)
    image = sum(
        cv2.resize(
            rng.normal(0, 1, (height // s + 2, width // s + 2, 3)),
            (width, height),
            interpolation=cv2.INTER_CUBIC) * w
        for s, w in ((1, 6), (4, 18), (30, 45))) + 120
    return np.clip(image, 0, 255).astype(np.uint8)


def bgr(image):
    return np.ascontiguousarray(np.asarray(image)[..., ::-1])


def rgb(array):
    return array[..., ::-1].astype(int)


RGB = photo()
PIL = Image.fromarray(RGB)


@pytest.mark.parametrize('size', [(96, 96), (224, 224), (40, 130)])
def test_resize_is_pillows_bicubic(size):
    ours = resize(RGB[10:140, 20:170], size)
    theirs = np.asarray(
        PIL.crop((20, 10, 170, 140)).resize(size[::-1], Image.BICUBIC))
    assert np.abs(ours.astype(int) - theirs).max() <= 1


@pytest.mark.parametrize('factor', [0.6, 0.83, 1., 1.4])
@pytest.mark.parametrize('ours,theirs', [
    (photometric.adjust_brightness, TF.adjust_brightness),
    (photometric.adjust_contrast, TF.adjust_contrast),
    (photometric.adjust_saturation, TF.adjust_saturation),
])
def test_linear_operations(ours, theirs, factor):
    difference = np.abs(
        rgb(ours(bgr(RGB), factor)) - np.asarray(theirs(PIL, factor)))
    # Rounding: of the result, and of the luma times the factor.
    assert difference.max() <= 2


@pytest.mark.parametrize('shift', [-0.1, -0.03, 0., 0.06, 0.1])
def test_hue(shift):
    difference = np.abs(
        rgb(photometric.adjust_hue(bgr(RGB), shift)) -
        np.asarray(TF.adjust_hue(PIL, shift)))
    # 8-bit hue has steps of 1.4 degrees, rounded differently by Pillow.
    assert difference.mean() < 1.2
    assert np.quantile(difference, 0.999) <= 8


def test_gray_and_solarize():
    assert np.abs(
        rgb(photometric.to_gray(bgr(RGB))) -
        np.asarray(TF.rgb_to_grayscale(PIL, 3))).max() <= 1
    assert np.array_equal(
        rgb(photometric.solarize(bgr(RGB))),
        np.asarray(ImageOps.solarize(PIL)))


@pytest.mark.parametrize('sigma', [0.5, 1.0, 2.0])
def test_blur(sigma):
    """Remaining fine detail compared with Pillow's Gaussian blur."""
    def detail(image):
        return cv2.Laplacian(np.asarray(image, np.float32), cv2.CV_32F).std()

    ours = rgb(photometric.gaussian_blur(bgr(RGB), sigma))
    theirs = np.asarray(PIL.filter(ImageFilter.GaussianBlur(sigma)))
    assert np.abs(ours - theirs).mean() < 2
    assert abs(detail(ours) / detail(theirs) - 1) < 0.15
    assert detail(ours) < 0.8 * detail(RGB)


def test_impulse_response_of_the_blur_has_the_given_sigma():
    image = np.zeros((41, 41, 3), np.uint8)
    image[20, 20] = 255
    # 8 bits are coarse, so blur a stripe that is constant along one axis.
    image[:] = 0
    image[:, 20] = 255
    row = photometric.gaussian_blur(image, 2.0)[20, :, 0].astype(float)
    x = np.arange(41) - 20
    assert abs(np.sqrt((row * x**2).sum() / row.sum()) - 2.0) < 0.15


@pytest.mark.parametrize('sigma', [0.1, 0.7, 1.5])
def test_blur_is_exact_but_for_rounding(sigma):
    noise = np.random.default_rng(0).integers(0, 256, (60, 50, 3), np.uint8)
    size = 2 * int(np.ceil(2.5 * sigma)) + 1
    exact = cv2.GaussianBlur(
        noise.astype(float), (size, size), sigma,
        borderType=cv2.BORDER_REPLICATE)
    assert np.abs(photometric.gaussian_blur(noise, sigma) - exact).max() < 0.51


def statistics(crops):
    """Features whose distributions are compared, one row per crop."""
    rows = []
    for crop in crops:
        crop = np.ascontiguousarray(crop)
        hsv = cv2.cvtColor(crop, cv2.COLOR_RGB2HSV).astype(float)
        colorful = hsv[..., 1].mean() > 2
        angle = np.exp(1j * hsv[..., 0] / 90 * np.pi)
        weight = hsv[..., 1] * hsv[..., 2]
        hue = (angle * weight).sum() / max(weight.sum(), 1)
        gray = crop.mean(2)
        detail = cv2.Laplacian(gray.astype(np.float32), cv2.CV_32F).std()
        rows.append([
            *crop.mean((0, 1)), gray.std(), hsv[..., 1].mean(), hue.real,
            hue.imag, np.log(detail + 0.1), float(colorful)
        ])
    return np.array(rows)


NAMES = ['red', 'green', 'blue', 'contrast', 'saturation', 'hue cosine',
         'hue sine', 'sharpness', 'colorful']
VIEWS = dict(
    first=dict(size=48, scale=(0.25, 1.), blur_prob=1.0),
    second=dict(size=48, scale=(0.25, 1.), blur_prob=0.1, solarize_prob=0.2),
    local=dict(size=32, scale=(0.05, 0.25), blur_prob=0.5))


def torchvision_view(size, scale, blur_prob, solarize_prob=0.):
    """The published augmentation, written with torchvision."""
    def blur(image):
        return image.filter(
            ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))

    return transforms.Compose([
        transforms.RandomResizedCrop(
            size, scale=scale, interpolation=InterpolationMode.BICUBIC),
        transforms.RandomHorizontalFlip(),
        transforms.RandomApply([transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)],
                               p=0.8),
        transforms.RandomGrayscale(p=0.2),
        transforms.RandomApply([transforms.Lambda(blur)], p=blur_prob),
        transforms.RandomApply([transforms.Lambda(ImageOps.solarize)],
                               p=solarize_prob),
    ])


@pytest.mark.parametrize('name', sorted(VIEWS))
def test_distribution_equals_torchvisions(name):
    """Kolmogorov-Smirnov distance of nine statistics over 1500 crops."""
    count = 1500
    random.seed(0)
    torch.manual_seed(0)
    theirs = torchvision_view(**VIEWS[name])
    ours, rng = CropView(**VIEWS[name]), random.Random(1)
    a = statistics(
        ours(bgr(RGB), rng)[..., ::-1] for _ in range(count))
    b = statistics(np.asarray(theirs(PIL)) for _ in range(count))
    for i, statistic in enumerate(NAMES):
        values = np.concatenate([a[:, i], b[:, i]])
        distance = np.abs(
            np.searchsorted(np.sort(a[:, i]), values, 'right') -
            np.searchsorted(np.sort(b[:, i]), values, 'right')).max() / count
        # Exceeded by chance once in 10,000 comparisons.
        assert distance < 2.23 * np.sqrt(2 / count), statistic


def test_jitter_orders_are_all_drawn(monkeypatch):
    """Operations in random order, factors uniform in their ranges."""
    seen = []
    jitter = photometric.ColorJitter(0.4, 0.4, 0.2, 0.1)
    jitter.operations = [
        (lambda image, factor, n=n: seen.append((n, factor)) or image, c, s)
        for n, (_, c, s) in enumerate(jitter.operations)
    ]
    rng = random.Random(0)
    for _ in range(2400):
        jitter(RGB, rng)
    orders = [tuple(n for n, _ in seen[i:i + 4])
              for i in range(0, len(seen), 4)]
    counts = [orders.count(order) for order in set(orders)]
    assert len(counts) == 24 and min(counts) > 60
    for n, (low, high) in enumerate([(0.6, 1.4), (0.6, 1.4), (0.8, 1.2),
                                     (-0.1, 0.1)]):
        factors = [factor for m, factor in seen if m == n]
        assert low <= min(factors) < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < max(factors) <= high
        assert abs(np.mean(factors) - (low + high) / 2) < 0.03 * (high - low)


@pytest.mark.parametrize('height,width', [(150, 200), (30, 400), (400, 30),
                                          (1, 50), (1, 1)])
@pytest.mark.parametrize('scale', [(0.25, 1.), (0.05, 0.25)])
def test_boxes_follow_torchvision(height, width, scale):
    count, rng = 3000, random.Random(0)
    ours = np.array([
        sample_box(height, width, scale, (3 / 4, 4 / 3), rng)
        for _ in range(count)
    ])
    torch.manual_seed(0)
    image = torch.empty(3, height, width)
    theirs = np.array([
        transforms.RandomResizedCrop.get_params(image, list(scale),
                                                [3 / 4, 4 / 3])
        for _ in range(count)
    ])
    assert (ours[:, :2] >= 0).all() and (ours[:, 2:] >= 1).all()
    assert (ours[:, 0] + ours[:, 2] <= height).all()
    assert (ours[:, 1] + ours[:, 3] <= width).all()
    spread = np.maximum(ours.std(0), theirs.std(0))
    assert (np.abs(ours.mean(0) - theirs.mean(0)) <=
            4.5 * spread * np.sqrt(2 / count) + 0.51 * (theirs[:, 2:].min()
                                                        < 2)).all()


def test_counts_sizes_and_order():
    crop = MultiCrop(
        [dict(size=48, scale=(0.5, 1.)),
         dict(size=48, scale=(0.5, 1.), num=2)],
        [dict(size=16, scale=(0.1, 0.3), num=3),
         dict(size=(24, 32), scale=(0.1, 0.3))])
    results = crop(dict(img=bgr(RGB), rng=random.Random(0)))
    assert 'img' not in results
    shapes = [[c.shape for c in results[k]]
              for k in ('global_crops', 'local_crops')]
    assert shapes == [[(48, 48, 3)] * 3, [(16, 16, 3)] * 3 + [(24, 32, 3)]]
    assert all(c.dtype == np.uint8 and c.flags.c_contiguous
               for k in ('global_crops', 'local_crops') for c in results[k])


@pytest.mark.parametrize('shape', [(1, 50), (50, 1), (1, 1), (2000, 3)])
def test_degenerate_images(shape):
    crop = MultiCrop([dict(size=32, scale=(0.3, 1.), blur_prob=1.)],
                     [dict(size=16, scale=(0.05, 0.3), num=4)])
    image = np.full((*shape, 3), 90, np.uint8)
    results = crop(dict(img=image, rng=random.Random(0)))
    assert results['global_crops'][0].shape == (32, 32, 3)
    assert len(results['local_crops']) == 4


def test_same_generator_same_crops():
    crop = MultiCrop([dict(size=32, scale=(0.5, 1.), num=2)],
                     [dict(size=16, scale=(0.1, 0.3), num=3)])

    def cut(seed):
        results = crop(dict(img=bgr(RGB), rng=random.Random(seed)))
        return np.concatenate([
            c.ravel() for k in ('global_crops', 'local_crops')
            for c in results[k]
        ])

    assert np.array_equal(cut(3), cut(3))
    assert not np.array_equal(cut(3), cut(4))


def test_the_image_is_not_modified():
    image = bgr(RGB)
    before = image.copy()
    view = CropView(size=RGB.shape[:2], scale=(1., 1.), ratio=(4 / 3, 4 / 3),
                    flip=0., jitter_prob=1., solarize_prob=1., blur_prob=1.)
    view(image, random.Random(0))
    assert np.array_equal(image, before)


def test_bad_settings_raise():
    with pytest.raises(ValueError, match='global crops'):
        MultiCrop([dict(size=32, scale=(0.5, 1.)),
                   dict(size=48, scale=(0.5, 1.))])
    with pytest.raises(ValueError, match='scale'):
        MultiCrop([dict(size=32, scale=(0.5, 1.5))])
    with pytest.raises(ValueError, match='hue'):
        photometric.ColorJitter(0.4, 0.4, 0.2, 0.6)
