"""Patches of two views of an image that match (paper, appendix G.3)."""

import random
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor

from ibot_mm.datasets.transforms.multi_crop import resize, sample_box
from ibot_mm.datasets.transforms.photometric import ColorJitter, to_gray


class View(NamedTuple):
    """A crop of an image, and where it comes from.

    Attributes:
        image: (size, size, C), of the image's dtype.
        box: Top, left, height and width as shares of the image.
        flipped: Whether left and right are exchanged.
    """

    image: np.ndarray
    box: tuple[float, float, float, float]
    flipped: bool


def random_view(image: np.ndarray, size: int, rng: random.Random,
                scale: tuple[float, float] = (0.4, 1.),
                color: bool = True) -> View:
    """Draw a random resized crop, flipped half of the time.

    Args:
        image: (H, W, C), uint8 or uint16; BGR if ``color``.
        size: Side of the view in pixels.
        rng: Random generator.
        scale: Range of crop area / image area.
        color: Whether to apply color jitter and grayscale, as in the
            pre-training.
    """
    height, width = image.shape[:2]
    top, left, h, w = sample_box(height, width, scale, (3 / 4, 4 / 3), rng)
    flipped = rng.random() < 0.5
    crop = resize(image[top:top + h, left:left + w], (size, size))
    if flipped:
        crop = cv2.flip(crop, 1).reshape(crop.shape)
    if color and rng.random() < 0.8:
        crop = ColorJitter(0.4, 0.4, 0.2, 0.1)(crop, rng)
    if color and rng.random() < 0.2:
        crop = to_gray(crop)
    return View(crop, (top / height, left / width, h / height, w / width),
                flipped)


def patch_centers(view: View, rows: int) -> tuple[Tensor, Tensor]:
    """Where the centers of a view's patches are in the image.

    Args:
        view: A view.
        rows: Number of patches per side.

    Returns:
        Heights of the rows and positions of the columns, (rows, ) each, as
        shares of the image.
    """
    steps = (torch.arange(rows, dtype=torch.float64) + 0.5) / rows
    top, left, height, width = view.box
    return (top + height * steps,
            left + width * (steps.flip(0) if view.flipped else steps))


def true_partners(first: View, second: View, rows: int
                  ) -> tuple[Tensor, Tensor]:
    """The nearest patch of the second view to each patch of the first.

    A patch is in both views if its center is within the range of the second
    view's centers, widened by half a patch of the whole image, as in the
    official code.

    Args:
        first: A view.
        second: Another one of the same image.
        rows: Number of patches per side of both.

    Returns:
        Row and column of the nearest patch, int64 (rows, rows, 2), and which
        patches are in both views, bool (rows, rows).
    """
    nearest, inside = [], []
    for here, there in zip(patch_centers(first, rows),
                           patch_centers(second, rows)):
        nearest.append((here[:, None] - there).abs().argmin(1))
        low, high = there.aminmax()
        inside.append((here >= low - 0.5 / rows) & (here <= high + 0.5 / rows))
    return (torch.stack(torch.meshgrid(*nearest, indexing='ij'), -1),
            inside[0][:, None] & inside[1])


def best_matches(first: Tensor, second: Tensor) -> Tensor:
    """The patch of the second picture that is most similar to each patch.

    Args:
        first: Patch tokens after the final norm, (h, w, C).
        second: Those of the other picture, (h2, w2, C).

    Returns:
        Row and column by largest dot product, int64 (h, w, 2).
    """
    index = (first @ second.flatten(0, 1).T).argmax(-1)
    columns = second.shape[1]
    return torch.stack([index // columns, index % columns], -1)


def count_correct(matches: Tensor, partners: Tensor, shared: Tensor,
                  radius: int = 0) -> tuple[int, float, int]:
    """Count matches that are right.

    Args:
        matches: Of :func:`best_matches`, (rows, rows, 2).
        partners: Of :func:`true_partners`, (rows, rows, 2).
        shared: Which patches are in both views, bool (rows, rows).
        radius: Number of rows and columns by which a match may miss.

    Returns:
        Number of right matches, the number that matches at random have on
        average, and the number of patches in both views.
    """
    rows = len(shared)
    partners = partners[shared]
    right = (matches[shared] - partners).abs().amax(-1) <= radius
    # The square of patches that count as right, cut at the border.
    sides = ((partners + radius).clamp(max=rows - 1) -
             (partners - radius).clamp(min=0) + 1)
    return (int(right.sum()), float(sides.prod(-1).sum()) / rows**2,
            len(partners))
