"""Dropped and shuffled patches (arXiv 2105.10497), on normalized images."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


def permutations(count: int, seeds: Sequence[Sequence[int]]) -> Tensor:
    """A random permutation of 0 to ``count`` - 1 for each seed.

    Args:
        count: Number of elements.
        seeds: Integers that seed each permutation.

    Returns:
        (len(seeds), count), int64.
    """
    return torch.from_numpy(np.stack(
        [np.random.default_rng(seed).permutation(count) for seed in seeds]))


def drop_patches(images: Tensor, dropped: Tensor) -> Tensor:
    """Set patches to 0, the mean color of normalized images.

    Args:
        images: (B, C, H, W).
        dropped: bool (B, h, w); h divides H, w divides W.
    """
    size = images.shape[2] // dropped.shape[1], (
        images.shape[3] // dropped.shape[2])
    mask = dropped.repeat_interleave(size[0], 1).repeat_interleave(size[1], 2)
    return images.masked_fill(mask.unsqueeze(1), 0)


def first_patches(order: Tensor, ratio: float,
                  grid: tuple[int, int]) -> Tensor:
    """The first floor(ratio x N) patches of an order.

    Args:
        order: Place of each patch in the order, (B, N).
        ratio: Between 0 and 1.
        grid: Rows h and columns w of patches, h * w = N.

    Returns:
        bool (B, h, w).
    """
    # 0.3 x 10 is 3, not floor(2.9999...).
    count = int(order.shape[1] * ratio + 1e-6)
    return (order < count).unflatten(1, grid)


def shuffle_cells(images: Tensor, grid: tuple[int, int],
                  order: Tensor) -> Tensor:
    """Cut images into cells and put these back in another order.

    Args:
        images: (B, C, H, W).
        grid: Rows and columns of cells, which divide H and W.
        order: Which cell comes to each place, (B, cells).
    """
    rows, columns = grid
    cells = images.unflatten(3, (columns, -1)).unflatten(2, (rows, -1))
    cells = cells.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)  # (B, cells, ...)
    image = torch.arange(len(images), device=images.device)
    cells = cells[image[:, None], order]
    return cells.unflatten(1, grid).permute(0, 3, 1, 4, 2, 5).reshape(
        images.shape)
