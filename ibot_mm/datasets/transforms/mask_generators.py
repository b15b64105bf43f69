"""Masks over a grid of patches (paper, section 3.2 and appendix B).

A mask is built as one Python integer whose bit ``row * W + column`` stands for
a patch: a rectangle is then one multiplication and a count one instruction.
"""

import math
import random
from collections.abc import Sequence
from typing import Union

import numpy as np

from ibot_mm.registry import TRANSFORMS

Ratio = Union[float, Sequence[float]]


class RatioSampler:
    """Draws the share of patches to mask.

    Each entry of a list is drawn, then one of them is chosen.

    Args:
        ratio: Mean ratio, or a list of them.
        ratio_var: Half width of the uniform distribution about each mean.

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
                    f'mask ratio {mean} +- {width} leaves the range 0 to 1.')
        self.choices = list(zip(means, widths))

    def __call__(self, rng: random.Random) -> float:
        """One ratio."""
        mean, width = self.choices[int(rng.random() * len(self.choices))]
        return mean + width * (2 * rng.random() - 1) if width else mean


def _as_array(bits: int, height: int, width: int) -> np.ndarray:
    """Bits of an integer as a bool array (height, width)."""
    size = height * width
    packed = np.frombuffer(bits.to_bytes((size + 7) // 8, 'little'), 'u1')
    # NumPy is slow at keyword arguments; these are axis, count and bitorder.
    unpacked = np.unpackbits(packed, None, size, 'little')
    return unpacked.view('?').reshape(height, width)


@TRANSFORMS.register_module()
class BlockMaskGenerator:
    """Block-wise masks in the manner of BEiT, as the official iBOT draws them.

    Rectangles of a random area and aspect ratio are added until the budget
    (ratio x H x W, not rounded) is reached; one that would exceed it, add
    nothing or fill the grid in a direction is drawn again, ten times at most.

    Args:
        ratio: Share of patches to mask, or a list of which one is chosen.
        ratio_var: Half width of the uniform range about each ratio.
        aspect_ratio: Range of height / width of a rectangle; log-uniform.
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
        """Block [h][w] in the first corner, for h < height and w < width."""
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
        """One mask.

        Args:
            grid: Patches in height and width.
            rng: Source of randomness.

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
        # With less than a patch left over every try would fail.
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
    """Masks of patches drawn independently of each other.

    Args:
        ratio: Share of patches to mask, or a list of which one is chosen.
        ratio_var: Half width of the uniform range about each ratio.
    """

    def __init__(self,
                 ratio: Ratio = (0., 0.65),
                 ratio_var: Ratio = (0., 0.05)) -> None:
        self.ratio = RatioSampler(ratio, ratio_var)

    def draw(self, grid: tuple[int, int], rng: random.Random) -> np.ndarray:
        """One mask of int(ratio x H x W) patches; see BlockMaskGenerator."""
        height, width = grid
        size = height * width
        mask = np.zeros(size, dtype=bool)
        mask[rng.sample(range(size), int(self.ratio(rng) * size))] = True
        return mask.reshape(height, width)
