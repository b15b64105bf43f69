"""Masks over a grid of patches (paper, section 3.2 and appendix B).

A mask is built as a Python integer whose bit ``row * W + column`` stands for a
patch, so drawing a rectangle is a shift and counting patches one instruction.
"""

import math
import random
from collections.abc import Sequence

import numpy as np

from ibot_mm.registry import TRANSFORMS

Ratio = float | Sequence[float]


class RatioSampler:
    """Draws the fraction of patches to mask.

    An entry of the lists is chosen, then a value drawn from its range.

    Args:
        ratio: Mean fraction, or a list of them.
        ratio_var: Half-width of the uniform distribution around each mean.

    Raises:
        ValueError: The lists differ in length or leave [0, 1].
    """

    def __init__(self, ratio: Ratio, ratio_var: Ratio) -> None:
        means = [ratio] if isinstance(ratio, (int, float)) else list(ratio)
        widths = [ratio_var] * len(means) if isinstance(
            ratio_var, (int, float)) else list(ratio_var)
        if len(means) != len(widths) or not means:
            raise ValueError(f'mask ratio {ratio} and ratio_var {ratio_var} '
                             'must have the same number of entries.')
        for mean, width in zip(means, widths):
            if width < 0 or mean - width < 0 or mean + width > 1:
                raise ValueError(
                    f'mask ratio {mean} +- {width} is not within [0, 1].')
        self.choices = list(zip(means, widths))

    def __call__(self, rng: random.Random) -> float:
        """Draw a fraction."""
        mean, width = self.choices[int(rng.random() * len(self.choices))]
        return mean + width * (2 * rng.random() - 1) if width else mean


def _as_array(bits: int, height: int, width: int) -> np.ndarray:
    """Bits of an integer as a bool array (height, width)."""
    size = height * width
    packed = np.frombuffer(bits.to_bytes((size + 7) // 8, 'little'), 'u1')
    # Positional, because keywords are slow: axis, count and bitorder.
    unpacked = np.unpackbits(packed, None, size, 'little')
    return unpacked.view('?').reshape(height, width)


@TRANSFORMS.register_module()
class BlockMaskGenerator:
    """Block-wise masks in the manner of BEiT, as in the official code.

    Rectangles of random area and aspect ratio are added until the budget
    (ratio x H x W, not rounded) is reached. Rectangles that would exceed it,
    add no patch or span the grid in one direction are drawn again, at most
    ten times in a row.

    Args:
        ratio: Fraction of patches to mask, or a list to choose from.
        ratio_var: Half-width of the uniform range around each ratio.
        aspect_ratio: Range of height / width of a rectangle; log-uniform.

    Raises:
        ValueError: A range is invalid.
    """

    def __init__(self,
                 ratio: Ratio = (0., 0.3),
                 ratio_var: Ratio = (0., 0.2),
                 aspect_ratio: tuple[float, float] = (0.3, 1 / 0.3)) -> None:
        self.ratio = RatioSampler(ratio, ratio_var)
        if not 0 < aspect_ratio[0] <= aspect_ratio[1]:
            raise ValueError('BlockMaskGenerator: aspect_ratio must be '
                             f'(low, high) above 0, got {aspect_ratio}.')
        self.log_aspect = tuple(math.log(a) for a in aspect_ratio)
        self._tables = {}

    def _corner_blocks(self, height: int, width: int) -> list[list[int]]:
        """Top-left block of h x w patches as [h][w], h < height, w < width."""
        if (height, width) not in self._tables:
            rows = [(1 << w) - 1 for w in range(width)]
            # Bit 0 of each of the first h rows.
            columns = [
                sum(1 << row * width for row in range(h))
                for h in range(height)
            ]
            self._tables[height, width] = [[column * row for row in rows]
                                           for column in columns]
        return self._tables[height, width]

    def draw(self, grid: tuple[int, int], rng: random.Random) -> np.ndarray:
        """Draw a mask.

        Args:
            grid: Patches in height and width.
            rng: Random generator.

        Returns:
            bool (H, W), True where masked.
        """
        height, width = grid
        budget = self.ratio(rng) * height * width
        most = int(budget)
        if most == 0:
            return np.zeros(grid, dtype=bool)
        corner = self._corner_blocks(height, width)
        smallest = (min(height, width) // 3)**2
        low_aspect = self.log_aspect[0] / 2
        aspect_range = self.log_aspect[1] / 2 - low_aspect
        uniform, sqrt, exp = rng.random, math.sqrt, math.exp
        mask = count = tries = 0
        area_range = budget - smallest
        # With less than one patch left, every try would fail.
        while tries < 10 and count < most:
            tries += 1
            side = sqrt(smallest + uniform() * area_range)
            # The square root of the aspect ratio.
            stretch = exp(low_aspect + aspect_range * uniform())
            h, w = round(side * stretch), round(side / stretch)
            if h >= height or w >= width:
                continue
            top = int(uniform() * (height - h + 1))
            left = int(uniform() * (width - w + 1))
            union = mask | corner[h][w] << top * width + left
            total = union.bit_count()
            if count < total <= most:
                mask, count, tries = union, total, 0
                area_range = budget - count - smallest
        return _as_array(mask, height, width)


@TRANSFORMS.register_module()
class RandomMaskGenerator:
    """Masks of patches drawn at random without replacement.

    Args:
        ratio: Fraction of patches to mask, or a list to choose from.
        ratio_var: Half-width of the uniform range around each ratio.
    """

    def __init__(self,
                 ratio: Ratio = (0., 0.7),
                 ratio_var: Ratio = (0., 0.05)) -> None:
        self.ratio = RatioSampler(ratio, ratio_var)

    def draw(self, grid: tuple[int, int], rng: random.Random) -> np.ndarray:
        """Draw int(ratio x H x W) patches; see BlockMaskGenerator.draw."""
        height, width = grid
        size = height * width
        mask = np.zeros(size, dtype=bool)
        mask[rng.sample(range(size), int(self.ratio(rng) * size))] = True
        return mask.reshape(height, width)
