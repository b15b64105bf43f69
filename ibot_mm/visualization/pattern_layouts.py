"""What the prototypes stand for (paper, figures 4, 13, 14 and 17)."""

import math
from collections import Counter
from collections.abc import Callable, Sequence

import cv2
import numpy as np

CELL = 96  # side of a picture in the grid, in pixels
# BGR color of the patch in the middle, as in the official code.
TINT = np.array([0, 100, 200], np.float32)


def rank_prototypes(prototypes: np.ndarray) -> list[tuple[int, int]]:
    """Prototypes by the number of their tokens, the largest first.

    Args:
        prototypes: Prototype of every token of N images, (N, P).

    Returns:
        Prototype and number of tokens, for those that have any.
    """
    return Counter(prototypes.ravel().tolist()).most_common()


def best_tokens(logits: np.ndarray, prototypes: np.ndarray, prototype: int,
                count: int) -> list[tuple[int, int]]:
    """The tokens of largest logit of a prototype, one per image.

    Args:
        logits: Largest logit of every token of N images, (N, P).
        prototypes: Prototype that it belongs to, (N, P).
        prototype: The prototype.
        count: Largest number of tokens.

    Returns:
        Image and token, the best first.
    """
    values = np.where(prototypes == prototype, logits, -np.inf)
    best = values.max(1)
    images = np.argsort(-best, kind='stable')[:count]
    return [(int(i), int(values[i].argmax())) for i in images
            if best[i] > -np.inf]


def purity(labels: Sequence[str]) -> tuple[str, float]:
    """Most frequent label and its share."""
    label, count = Counter(labels).most_common(1)[0]
    return label, count / len(labels)


def overall_purity(prototypes: np.ndarray, labels: Sequence[str]) -> float:
    """Share of tokens with the most frequent label of their prototype.

    Args:
        prototypes: Prototype of every token of N images, (N, P).
        labels: Of the images; a token has that of its image.
    """
    counts = Counter((prototype, label) for row, label in zip(
        prototypes.tolist(), labels) for prototype in row)
    largest: dict[int, int] = {}
    for (prototype, _), count in counts.items():
        largest[prototype] = max(largest.get(prototype, 0), count)
    return sum(largest.values()) / prototypes.size


def patch_in_context(image: np.ndarray, row: int, column: int, patch: int,
                     window: int = 5) -> np.ndarray:
    """A patch, tinted, with the patches around it.

    Args:
        image: (H, W, 3), uint8 BGR.
        row: Of the patch, in patches.
        column: Of the patch, in patches.
        patch: Side of a patch in pixels.
        window: Number of patches per side of the result, odd.

    Returns:
        (window * patch, window * patch, 3); black outside of the image.
    """
    margin = window // 2 * patch
    padded = cv2.copyMakeBorder(image, *[margin] * 4, cv2.BORDER_CONSTANT)
    top, left = row * patch, column * patch
    picture = padded[top:top + window * patch,
                     left:left + window * patch].copy()
    center = picture[margin:margin + patch, margin:margin + patch]
    center[:] = ((center + TINT) / 2).round().astype(np.uint8)
    return picture


def layout(pictures: Sequence[np.ndarray], columns: int, cell: int
           ) -> np.ndarray:
    """Pictures in rows of equal length; the rest of the last row is black.

    Args:
        pictures: Square, uint8 BGR.
        columns: Number of pictures in a row.
        cell: Side in pixels to which they are resized.
    """
    rows = -(-len(pictures) // columns)
    grid = np.zeros((rows * cell, columns * cell, 3), np.uint8)
    for i, picture in enumerate(pictures):
        top, left = i // columns * cell, i % columns * cell
        mode = cv2.INTER_AREA if len(picture) > cell else cv2.INTER_CUBIC
        grid[top:top + cell, left:left + cell] = cv2.resize(
            picture, (cell, cell), interpolation=mode)
    return grid


def prototype_layout(load: Callable[[int], np.ndarray], logits: np.ndarray,
                     prototypes: np.ndarray, prototype: int, count: int
                     ) -> np.ndarray:
    """The images that fit a prototype best, one token of each.

    Args:
        load: Gives the square image (H, H, 3), uint8 BGR, of a number.
        logits: Largest logit of every token of N images, (N, P); P is 1 for
            CLS tokens, of which the whole image is drawn.
        prototypes: Prototype that it belongs to, (N, P).
        prototype: The prototype.
        count: Largest number of images.

    Returns:
        A :func:`layout` with about as many rows as columns.
    """
    side = math.isqrt(prototypes.shape[1])
    pictures = []
    for image, token in best_tokens(logits, prototypes, prototype, count):
        picture = load(image)
        if side > 1:
            picture = patch_in_context(picture, *divmod(token, side),
                                       len(picture) // side)
        pictures.append(picture)
    return layout(pictures, math.ceil(math.sqrt(count)), CELL)


def members_in_words(prototypes: np.ndarray, prototype: int,
                     labels: Sequence[str]) -> str:
    """Number of tokens of a prototype, and what most of their images are.

    Args:
        prototypes: Prototype of every token of N images, (N, P).
        prototype: The prototype.
        labels: Of the images; left out if all are equal.
    """
    counts = (prototypes == prototype).sum(1)
    text = f'prototype {prototype}: {counts.sum()} tokens'
    if len(set(labels)) > 1:
        label, share = purity(np.repeat(labels, counts).tolist())
        text += f', {100 * share:.0f} % of them in {label}'
    return text
