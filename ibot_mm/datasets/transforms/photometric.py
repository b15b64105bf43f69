"""Photometric operations on BGR arrays.

On 8-bit images with 3 channels they equal the operations of Pillow and
torchvision up to rounding, computed with lookup tables or OpenCV. Brightness,
contrast, solarization and blur also accept 16-bit images and any number of
channels; saturation, hue and grayscale do not.
"""

import itertools
import random

import cv2
import numpy as np
from numpy import ndarray

_SOLARIZE = np.array([v if v < 128 else 255 - v for v in range(256)], np.uint8)
_LUMA = (0.114, 0.587, 0.299)  # weights of blue, green and red
_TO_GRAY = np.array([_LUMA] * 3)
_FROM_GRAY = np.eye(3) - _TO_GRAY


def is_bgr(image: ndarray) -> bool:
    """Whether an image is 8-bit with 3 channels."""
    return image.dtype == np.uint8 and image.shape[2] == 3


def _scaled_about(image: ndarray, factor: float, origin: float) -> ndarray:
    """Compute origin + factor * (image - origin), clipped."""
    # OpenCV's fastest affine map; the second image has weight 0.
    result = cv2.addWeighted(image, factor, image, 0., (1 - factor) * origin)
    return result.reshape(image.shape)  # OpenCV drops an axis of length 1


def adjust_brightness(image: ndarray, factor: float) -> ndarray:
    """Blend with black."""
    return _scaled_about(image, factor, 0.)


def adjust_contrast(image: ndarray, factor: float) -> ndarray:
    """Blend with the mean luma; without 3 channels, with the mean value."""
    if image.shape[2] != 3:
        return _scaled_about(image, factor, int(image.mean() + 0.5))
    # Cheaper than the mean of the luma, and equal to it.
    blue, green, red, _ = cv2.sumElems(image)
    mean = (_LUMA[0] * blue + _LUMA[1] * green +
            _LUMA[2] * red) / (image.shape[0] * image.shape[1])
    return _scaled_about(image, factor, int(mean + 0.5))


def adjust_saturation(image: ndarray, factor: float) -> ndarray:
    """Blend with the luma of each pixel."""
    return cv2.transform(image, _TO_GRAY + factor * _FROM_GRAY)


def adjust_hue(image: ndarray, shift: float) -> ndarray:
    """Rotate the hue.

    Args:
        image: (H, W, 3), BGR.
        shift: Fraction of a full turn, -0.5 to 0.5.

    Returns:
        (H, W, 3), BGR.
    """
    hsv = cv2.cvtColor(image, cv2.COLOR_BGR2HSV_FULL)
    # Adding whole rows is faster than adding to one channel of three.
    turn = np.zeros(hsv.shape[1:], np.uint8)
    turn[:, 0] = int(shift * 255) % 256
    hsv += turn
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2BGR_FULL)


def to_gray(image: ndarray) -> ndarray:
    """Copy the luma to all three channels."""
    return cv2.cvtColor(
        cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)


def solarize(image: ndarray) -> ndarray:
    """Invert values in the upper half of the range."""
    if image.dtype == np.uint16:
        return np.where(image < 2**15, image, ~image)
    return cv2.LUT(image, _SOLARIZE).reshape(image.shape)


def gaussian_blur(image: ndarray, sigma: float) -> ndarray:
    """Gaussian blur.

    Args:
        image: (H, W, C), uint8 or uint16.
        sigma: Standard deviation in pixels.

    Returns:
        (H, W, C), same dtype.
    """
    size = 2 * max(1, int(np.ceil(2.5 * sigma))) + 1
    # Twice as fast as cv2.GaussianBlur, which uses fixed point for 8 bits.
    kernel = cv2.getGaussianKernel(size, sigma, cv2.CV_32F)
    result = cv2.sepFilter2D(
        image, -1, kernel, kernel, borderType=cv2.BORDER_REPLICATE)
    return result.reshape(image.shape)


class ColorJitter:
    """Brightness, contrast, saturation and hue in a random order.

    Args:
        brightness: Half-width of the range of factors around 1.
        contrast: Half-width of the range of factors around 1.
        saturation: Half-width of the range of factors around 1.
        hue: Half-width of the range of shifts in full turns, at most 0.5.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(self, brightness: float, contrast: float, saturation: float,
                 hue: float) -> None:
        spreads = (brightness, contrast, saturation, hue)
        if any(s < 0 for s in spreads) or hue > 0.5:
            raise ValueError('ColorJitter: values must be >= 0 and hue at '
                             f'most 0.5, got {spreads}.')
        self.operations = [
            (operation, center, spread) for operation, center, spread in (
                (adjust_brightness, 1., brightness),
                (adjust_contrast, 1., contrast),
                (adjust_saturation, 1., saturation),
                (adjust_hue, 0., hue),
            ) if spread > 0
        ]
        self.needs_bgr = saturation > 0 or hue > 0
        self.orders = list(itertools.permutations(range(len(self.operations))))

    def __call__(self, image: ndarray, rng: random.Random) -> ndarray:
        """Jitter one image."""
        # Choosing from a table is ten times as fast as rng.sample.
        for i in self.orders[int(rng.random() * len(self.orders))]:
            operation, center, spread = self.operations[i]
            low = max(0., center - spread) if center else -spread
            image = operation(image, rng.uniform(low, center + spread))
        return image
