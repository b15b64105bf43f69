"""Principal components of patch tokens as colors."""

from collections.abc import Sequence
from itertools import permutations
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor


class PatchColors(NamedTuple):
    """A basis that is shared by pictures.

    Attributes:
        mean: Of all patch tokens, (C,).
        first: Direction in which foreground and background differ, (C,).
        colors: Three components of the foreground, (C, 3).
        low: Least value of each component in the foreground, (3,).
        high: Largest value, (3,).
    """

    mean: Tensor
    first: Tensor
    colors: Tensor
    low: Tensor
    high: Tensor


def _components(tokens: Tensor, count: int) -> Tensor:
    """Directions of largest variance of centered tokens, (C, count)."""
    covariance = tokens.T @ tokens / len(tokens)
    vectors = torch.linalg.eigh(covariance).eigenvectors
    return vectors.flip(1)[:, :count]


def _border(grid: Tensor) -> Tensor:
    """Tokens at the border of an image, (2 h + 2 w, C)."""
    return torch.cat([grid[0], grid[-1], grid[:, 0], grid[:, -1]])


def fit_colors(grids: Sequence[Tensor],
               foreground: bool = True) -> PatchColors:
    """Find the components of all patches of some images.

    The first component separates foreground and background: objects are
    rarely at the border of an image, so its sign is that which is lower
    there. The colors are the first three components of the foreground.

    Args:
        grids: Patch tokens of each image, (h, w, C).
        foreground: Whether the colors are those of the foreground; of all
            patches otherwise.
    """
    tokens = torch.cat([grid.flatten(0, 1) for grid in grids]).double()
    mean = tokens.mean(0)
    tokens = tokens - mean
    first = _components(tokens, 1)[:, 0]
    border = torch.cat([_border(grid) for grid in grids]).double() - mean
    if (border @ first).mean() > 0:
        first = -first
    # Images that are all foreground still get colors.
    kept = tokens
    if foreground and len(tokens) > 4:
        kept = tokens[tokens @ first > 0]
    colors = _components(kept - kept.mean(0), 3)
    # The sign of a component has no meaning: its largest entry is positive.
    largest = colors.gather(0, colors.abs().argmax(0, keepdim=True))
    colors = colors * largest.sign()
    values = kept @ colors
    limits = torch.quantile(values, torch.tensor(
        [0.01, 0.99], dtype=values.dtype), dim=0) if (
            len(values) < 2**24 // 3) else torch.stack(values.aminmax(dim=0))
    return PatchColors(mean, first, colors, *limits)


def color_patches(grid: Tensor, basis: PatchColors, size: tuple[int, int],
                  background: bool = False) -> np.ndarray:
    """Draw the components of an image's patches.

    Args:
        grid: Patch tokens, (h, w, C).
        basis: From :func:`fit_colors`.
        size: Height and width of the picture in pixels.
        background: Whether to color the background, too, which is black
            otherwise.

    Returns:
        (H, W, 3), uint8 BGR.
    """
    tokens = grid.double() - basis.mean
    values = (tokens @ basis.colors - basis.low) / (
        basis.high - basis.low).clamp(min=1e-12)
    picture = 255 * values.clamp(0, 1)
    if not background:
        picture = picture * (tokens @ basis.first > 0).unsqueeze(-1)
    return cv2.resize(picture.round().byte().numpy(), size[::-1],
                      interpolation=cv2.INTER_NEAREST)


def match_colors(picture: np.ndarray, previous: np.ndarray
                 ) -> tuple[list[int], np.ndarray]:
    """Order and signs of components that fit an earlier picture best.

    Both are arbitrary: components that are equal but for them would have
    other colors. Pictures are compared, not directions: the features of a
    network that is trained turn, but patch for patch it sees the same images.

    Args:
        picture: Of :func:`color_patches` with the background, (H, W, 3).
        previous: That of the same images by the network before, (H, W, 3).

    Returns:
        Order of the channels, and for each, then, whether it is inverted.
    """
    old, new = (array.reshape(-1, 3).T.astype(np.float64)
                for array in (previous, picture))
    with np.errstate(divide='ignore', invalid='ignore'):  # constant channels
        similarity = np.nan_to_num(np.corrcoef(old, new)[:3, 3:])
    order = max(permutations(range(3)), key=lambda columns: abs(
        similarity[range(3), columns]).sum())
    return list(order), similarity[range(3), order] < 0


def recolored(picture: np.ndarray, order: list[int], inverted: np.ndarray
              ) -> np.ndarray:
    """A picture with the colors of :func:`match_colors`."""
    channels = picture[..., order]
    return np.where(inverted, 255 - channels, channels)
