"""Where the features of patches are alike."""

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from .attention import enlarged


def cosine_map(tokens: Tensor, query: Tensor) -> Tensor:
    """Cosine similarity of patch tokens and one token.

    Args:
        tokens: (..., C), of any floating dtype.
        query: (C, ).

    Returns:
        (...), float32, from -1 to 1.
    """
    return cosine_similarity(tokens.float(), query.float(), dim=-1)


def nearest_images(tokens: Tensor, query: Tensor, count: int,
                   chunk: int = 256) -> list[tuple[int, Tensor]]:
    """The images that have the patches most similar to a token.

    Args:
        tokens: Patch tokens of N images, (N, h, w, C).
        query: (C, ).
        count: Largest number of images.
        chunk: Number of images that are in memory as float32 at a time.

    Returns:
        Number and :func:`cosine_map` (h, w) of each, the best patch first.
    """
    maps = torch.cat([cosine_map(part, query) for part in tokens.split(chunk)])
    best = maps.flatten(1).amax(1).topk(min(count, len(maps))).indices
    return [(i, maps[i]) for i in best.tolist()]


def patch_at(point: tuple[float, float], grid: tuple[int, int]
             ) -> tuple[int, int]:
    """Row and column of the patch at a point.

    Args:
        point: Height and position from the left, as shares of the image.
        grid: Rows and columns of patches.
    """
    row, column = (min(int(share * count), count - 1)
                   for share, count in zip(point, grid))
    return row, column


def framed(picture: np.ndarray, patch: tuple[int, int], grid: tuple[int, int]
           ) -> np.ndarray:
    """A picture with a frame around a patch.

    Args:
        picture: (H, W, 3), uint8.
        patch: Row and column.
        grid: Rows and columns of patches.
    """
    height, width = (side // count
                     for side, count in zip(picture.shape, grid))
    top, left = patch[0] * height, patch[1] * width
    corners = (left, top), (left + width - 1, top + height - 1)
    picture = picture.copy()
    # Black around white: seen on any picture.
    cv2.rectangle(picture, *corners, (0, 0, 0), 3)
    return cv2.rectangle(picture, *corners, (255, 255, 255), 1)


def similarity_picture(image: np.ndarray, similarity: Tensor, low: float,
                       high: float = 1., opacity: float = 0.65) -> np.ndarray:
    """An image, gray, below the colors of a :func:`cosine_map`.

    Args:
        image: (H, W, 3), uint8 BGR.
        similarity: (h, w).
        low: What has the darkest color; what is below, too.
        high: What has the brightest color.
        opacity: Of the colors.

    Returns:
        (H, W, 3), uint8 BGR.
    """
    values = (similarity - low) / max(high - low, 1e-6)
    values = (255 * values.clamp(0, 1)).round().byte().numpy()
    colors = cv2.applyColorMap(enlarged(values, image.shape[:2]),
                               cv2.COLORMAP_VIRIDIS)
    gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY),
                        cv2.COLOR_GRAY2BGR)
    return cv2.addWeighted(colors, opacity, gray, 1 - opacity, 0)
