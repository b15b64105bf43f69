"""Attention of the CLS token as pictures (paper, figures 6 and 18)."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from torch import Tensor, nn

# BGR colors of the heads, in order, as in the paper's figures; heads after
# the sixth start over.
COLORS = np.array([(215, 160, 0), (60, 55, 220), (0, 180, 245),
                   (190, 120, 10), (100, 150, 40), (145, 75, 135)], np.float32)


def has_cls_token(backbone: nn.Module) -> bool:
    """Whether a backbone has a CLS token, whose attention can be drawn."""
    return getattr(backbone, 'cls_token', None) is not None


@torch.no_grad()
def cls_attention(backbone: nn.Module, images: Tensor) -> Tensor:
    """Attention of the CLS token to the patches, in the last layer.

    Args:
        backbone: An ``IBOTViT``.
        images: Normalized, (B, C, H, W).

    Returns:
        (B, heads, h, w), float32 on the CPU; the attention to CLS token and
        registers is left out, so the sum is less than 1.

    Raises:
        ValueError: The backbone has no CLS token.
    """
    if not has_cls_token(backbone):
        raise ValueError(f'{type(backbone).__name__} has no CLS token whose '
                         'attention could be drawn.')
    attention = backbone.last_attention(images, 1)[
        :, :, 0, backbone.num_prefix_tokens:]
    patch = backbone.patch_embed.projection.stride
    rows = -(-images.shape[2] // patch[0])
    return attention.unflatten(2, (rows, -1)).float().cpu()


def mass_mask(attention: Tensor, mass: float = 0.6) -> Tensor:
    """The fewest patches that hold a share of the attention.

    Args:
        attention: (..., h, w), not negative.
        mass: The share; that of the paper's figures by default.

    Returns:
        bool (..., h, w).
    """
    flat = attention.flatten(-2)
    values, order = (flat / flat.sum(-1, keepdim=True)).sort(-1)
    kept = values.cumsum(-1) > 1 - mass
    return torch.zeros_like(kept).scatter(-1, order, kept).view(
        attention.shape)


def _between_0_and_1(values: np.ndarray) -> np.ndarray:
    span = values.max() - values.min()
    return (values - values.min()) / (span if span else 1)


def enlarged(grid: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A value per patch as a value per pixel, without smoothing.

    Args:
        grid: (h, w), float32.
        size: Height and width in pixels.
    """
    return cv2.resize(grid, size[::-1], interpolation=cv2.INTER_NEAREST)


def heat_map(grid: np.ndarray, size: tuple[int, int],
             colors: int = cv2.COLORMAP_VIRIDIS) -> np.ndarray:
    """Values of patches as colors, from their minimum to their maximum.

    Args:
        grid: (h, w).
        size: Height and width of the picture in pixels.
        colors: Color map of OpenCV.

    Returns:
        (H, W, 3), uint8 BGR.
    """
    values = (255 * _between_0_and_1(grid)).astype(np.float32)
    return cv2.applyColorMap(
        enlarged(values, size).round().astype(np.uint8), colors)


def overlay(image: np.ndarray, attention: Tensor, mass: float = 0.6
            ) -> np.ndarray:
    """All heads in one picture, each in its color.

    A pixel belongs to the head that attends most to it, among those whose
    :func:`mass_mask` holds it. The image is nearly black below.

    Args:
        image: (H, W, 3), uint8 BGR.
        attention: (heads, h, w).
        mass: See :func:`mass_mask`.

    Returns:
        (H, W, 3), uint8 BGR.
    """
    masked = (attention * mass_mask(attention, mass)).numpy()
    size = image.shape[:2]
    gray = 192 + 64 * _between_0_and_1(image.astype(np.float32).mean(2))
    picture = np.repeat(0.1 * gray[..., None], 3, axis=2)
    winner = masked.argmax(0)
    for head, values in enumerate(masked):
        values = _between_0_and_1(np.where(winner == head, values, 0))
        alpha = np.where(values > 0.2, np.sqrt(values), 0).astype(np.float32)
        alpha = enlarged(alpha, size)[..., None]
        picture = (1 - alpha) * picture + alpha * COLORS[head % len(COLORS)]
    return picture.round().clip(0, 255).astype(np.uint8)


def contours(image: np.ndarray, attention: Tensor, mass: float = 0.6
             ) -> np.ndarray:
    """The image with the outline of each head's :func:`mass_mask`.

    Args:
        image: (H, W, 3), uint8 BGR.
        attention: (heads, h, w).
        mass: See :func:`mass_mask`.
    """
    picture = image.copy()
    for head, mask in enumerate(mass_mask(attention, mass).numpy()):
        lines, _ = cv2.findContours(
            enlarged(mask.astype(np.uint8), image.shape[:2]),
            cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, lines, -1,
                         COLORS[head % len(COLORS)].tolist(), 2)
    return picture


def jaccard(attention: Tensor, labels: np.ndarray, mass: float = 0.6,
            classes: Sequence[int] = ()) -> np.ndarray:
    """Overlap of each head's :func:`mass_mask` with the objects.

    Args:
        attention: (heads, h, w).
        labels: Label map (H, W): 0 is background, 255 is not counted.
        mass: See :func:`mass_mask`.
        classes: Labels that are objects; all but 0 if empty.

    Returns:
        Intersection / union per head, (heads, ), on the pixels of the label
        map.
    """
    objects = np.isin(labels, classes) if classes else labels > 0
    counted = labels != 255
    masks = np.stack([
        enlarged(mask.astype(np.uint8), labels.shape) > 0
        for mask in mass_mask(attention, mass).numpy()])
    union = ((masks | objects) & counted).sum((1, 2))
    return (masks & objects & counted).sum((1, 2)) / np.maximum(union, 1)


def attention_row(image: np.ndarray, attention: Tensor, mass: float = 0.6,
                  outlines: bool = False) -> np.ndarray:
    """Image, overlay of all heads, and a heat map per head, side by side.

    Args:
        image: (H, W, 3), uint8 BGR.
        attention: (heads, h, w).
        mass: See :func:`mass_mask`.
        outlines: Whether to add the :func:`contours`.
    """
    size = image.shape[:2]
    pictures = [image, overlay(image, attention, mass)]
    if outlines:
        pictures.append(contours(image, attention, mass))
    pictures += [heat_map(grid, size) for grid in attention.numpy()]
    return np.hstack(pictures)
