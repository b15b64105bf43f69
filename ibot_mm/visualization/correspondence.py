"""Pictures of matching patches (paper, appendix G.3)."""

import cv2
import numpy as np
import torch
from torch import Tensor


def most_attended(attention: Tensor, count: int = 12,
                  allowed: Tensor | None = None) -> Tensor:
    """Row and column of the patches of largest attention, largest first.

    Args:
        attention: (heads, h, w); the mean over heads decides.
        count: Number of patches; fewer if fewer are allowed.
        allowed: Which patches may be taken, bool (h, w); None for all.

    Returns:
        int64 (count, 2).
    """
    mean = attention.mean(0)
    if allowed is None:
        allowed = torch.ones_like(mean, dtype=torch.bool)
    order = mean.masked_fill(~allowed, -1).flatten().argsort(descending=True)
    chosen = order[:min(count, int(allowed.sum()))]
    columns = mean.shape[1]
    return torch.stack([chosen // columns, chosen % columns], -1)


def draw_matches(first: np.ndarray, second: np.ndarray, patches: Tensor,
                 matches: Tensor, patch: int) -> np.ndarray:
    """Two pictures side by side, with a line per match.

    Args:
        first: (H, W, 3), uint8 BGR.
        second: Of the same height.
        patches: Row and column of patches of the first picture, (n, 2).
        matches: Row and column of the best match of every patch, (h, w, 2).
        patch: Side of a patch in pixels.

    Returns:
        (H, W + W2, 3), uint8 BGR.
    """
    picture = np.hstack([first, second])
    for i, (row, column) in enumerate(patches.tolist()):
        row2, column2 = matches[row, column].tolist()
        start = (int((column + 0.5) * patch), int((row + 0.5) * patch))
        end = (int((column2 + 0.5) * patch) + first.shape[1],
               int((row2 + 0.5) * patch))
        # Hues of OpenCV are in steps of 2 degrees.
        hue = np.uint8([[[180 * i // len(patches), 255, 255]]])
        color = cv2.cvtColor(hue, cv2.COLOR_HSV2BGR)[0, 0].tolist()
        cv2.line(picture, start, end, color, 1, cv2.LINE_AA)
        for point in (start, end):
            cv2.circle(picture, point, 3, color, -1, cv2.LINE_AA)
    return picture
