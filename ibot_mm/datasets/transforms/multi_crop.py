"""Global and local crops of one decoded image."""

import math
import random
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from mmcv.transforms import BaseTransform
from numpy import ndarray

from ibot_mm.registry import TRANSFORMS

from .photometric import ColorJitter, gaussian_blur, is_bgr, solarize, to_gray


def sample_box(height: int, width: int, scale: Sequence[float],
               ratio: Sequence[float],
               rng: random.Random) -> tuple[int, int, int, int]:
    """Box of a random resized crop, drawn as in torchvision.

    Args:
        height: Height of the image in pixels.
        width: Width of the image in pixels.
        scale: Range of crop area / image area.
        ratio: Range of the crop's width / height; log-uniform.
        rng: Random generator.

    Returns:
        top, left, height, width in pixels.
    """
    area = height * width
    log_ratio = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(10):
        target = area * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(*log_ratio))
        w = round(math.sqrt(target * aspect))
        h = round(math.sqrt(target / aspect))
        if 0 < w <= width and 0 < h <= height:
            return rng.randint(0, height - h), rng.randint(0, width - w), h, w
    # Fallback: the largest center crop within the range of ratios.
    if width / height < ratio[0]:
        h, w = min(height, round(width / ratio[0])), width
    elif width / height > ratio[1]:
        h, w = height, min(width, round(height * ratio[1]))
    else:
        h, w = height, width
    h, w = max(1, h), max(1, w)
    return (height - h) // 2, (width - w) // 2, h, w


def resize(image: ndarray, size: tuple[int, int]) -> ndarray:
    """Bicubic resize with antialiasing, within 1 level of Pillow's.

    Args:
        image: (H, W, C), uint8 or uint16; may be a view.
        size: Height and width of the result.

    Returns:
        (h, w, C), same dtype.
    """
    if image.shape[:2] == tuple(size):
        return image.copy()
    # Channels-last uint8 is torch's vectorized path; to detect that layout it
    # needs a stride of the batch dimension, which [None] would not set. NumPy
    # copies views and permutes axes faster than torch.
    wide = image.dtype == np.uint16
    batch = np.ascontiguousarray(
        image, dtype=np.float32 if wide else None).reshape(1, *image.shape)
    tensor = torch.from_numpy(batch.transpose(0, 3, 1, 2))
    tensor = F.interpolate(tensor, size, mode='bicubic', antialias=True)
    if wide:
        tensor = tensor.round_().clamp_(0, 65535)
    return tensor.numpy()[0].transpose(1, 2, 0).astype(
        image.dtype, copy=False)


class CropView:
    """A kind of crop and its augmentations.

    The order is that of the paper: random resized crop, horizontal flip,
    color jitter, grayscale, blur, solarization. Saturation, hue and grayscale
    are only defined for 8-bit images with 3 channels; for others they must be
    disabled by ``jitter=(brightness, contrast, 0, 0)`` (or None) and
    ``gray_prob=0``.

    Args:
        num: Number of crops of this kind per image.
        size: Size, or (height, width), in pixels.
        scale: Range of crop area / image area.
        ratio: Range of the crop's width / height.
        flip: Probability of a horizontal flip.
        jitter: Strengths for brightness, contrast, saturation and hue (see
            :class:`ColorJitter`); None for no jitter.
        jitter_prob: Probability of the jitter.
        gray_prob: Probability of conversion to grayscale.
        blur_prob: Probability of a Gaussian blur.
        blur_sigma: Range of the blur's standard deviation in pixels.
        solarize_prob: Probability of solarization.

    Raises:
        ValueError: ``scale`` is not within (0, 1].
    """

    def __init__(self,
                 size: int | tuple[int, int],
                 scale: tuple[float, float],
                 num: int = 1,
                 ratio: tuple[float, float] = (3 / 4, 4 / 3),
                 flip: float = 0.5,
                 jitter: Sequence[float] | None = (0.4, 0.4, 0.2, 0.1),
                 jitter_prob: float = 0.8,
                 gray_prob: float = 0.2,
                 blur_prob: float = 0.,
                 blur_sigma: tuple[float, float] = (0.1, 2.0),
                 solarize_prob: float = 0.) -> None:
        if not 0 < scale[0] <= scale[1] <= 1:
            raise ValueError(
                f'MultiCrop: scale must lie in (0, 1], got {scale}.')
        self.num = num
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.scale = tuple(scale)
        self.ratio = tuple(ratio)
        self.flip = flip
        self.jitter = ColorJitter(*jitter) if jitter else None
        self.jitter_prob = jitter_prob
        self.gray_prob = gray_prob
        self.blur_prob = blur_prob
        self.blur_sigma = tuple(blur_sigma)
        self.solarize_prob = solarize_prob
        self.needs_bgr = (self.jitter is not None and self.jitter.needs_bgr
                          and jitter_prob > 0) or gray_prob > 0

    def __call__(self, image: ndarray, rng: random.Random) -> ndarray:
        """Draw a crop (h, w, C) of an image (H, W, C), uint8 or uint16.

        Raises:
            TypeError: An enabled operation does not support the image.
        """
        if self.needs_bgr and not is_bgr(image):
            raise TypeError(
                'MultiCrop: saturation, hue and grayscale need 8-bit images '
                f'with 3 channels, got {image.shape[2]} channels of '
                f'{image.dtype}; set jitter=(brightness, contrast, 0, 0) or '
                'None, and gray_prob=0, in every crop.')
        top, left, h, w = sample_box(*image.shape[:2], self.scale, self.ratio,
                                     rng)
        crop = resize(image[top:top + h, left:left + w], self.size)
        if rng.random() < self.flip:
            crop = cv2.flip(crop, 1).reshape(crop.shape)
        if self.jitter and rng.random() < self.jitter_prob:
            crop = self.jitter(crop, rng)
        if rng.random() < self.gray_prob:
            crop = to_gray(crop)
        if rng.random() < self.blur_prob:
            crop = gaussian_blur(crop, rng.uniform(*self.blur_sigma))
        if rng.random() < self.solarize_prob:
            crop = solarize(crop)
        return crop


@TRANSFORMS.register_module()
class MultiCrop(BaseTransform):
    """Cut all crops of an image from one decoded array.

    Required keys: ``img``. Optional keys: ``rng``. Added keys:
    ``global_crops`` and ``local_crops``, lists of (h, w, C) arrays. Removed
    keys: ``img``.

    Args:
        global_crops: Configs of :class:`CropView`, all of the same size.
        local_crops: Configs of :class:`CropView`; may be empty.
    """

    def __init__(self,
                 global_crops: Sequence[dict],
                 local_crops: Sequence[dict] = ()) -> None:
        self.global_crops = [CropView(**view) for view in global_crops]
        self.local_crops = [CropView(**view) for view in local_crops]
        sizes = {view.size for view in self.global_crops}
        if len(sizes) != 1:
            raise ValueError('MultiCrop: all global crops must have one size, '
                             f'got {sorted(sizes)}.')

    @staticmethod
    def _cut(image: ndarray, views: Sequence[CropView],
             rng: random.Random) -> list[ndarray]:
        return [view(image, rng) for view in views for _ in range(view.num)]

    def transform(self, results: dict) -> dict:
        """Replace the image of a sample with its crops."""
        image = results.pop('img')
        rng = results.get('rng') or random.Random(random.getrandbits(64))
        results['global_crops'] = self._cut(image, self.global_crops, rng)
        results['local_crops'] = self._cut(image, self.local_crops, rng)
        results['rng'] = rng
        return results
