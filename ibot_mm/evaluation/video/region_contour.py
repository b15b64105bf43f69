"""Region similarity J and contour accuracy F of DAVIS (arXiv 1704.00675)."""

import math

import cv2
import numpy as np
from numpy import ndarray

VOID = 255
# Distance at which contours match, as a share of the image's diagonal.
TOLERANCE = 0.008


def region_similarity(predicted: ndarray, truth: ndarray) -> float:
    """Intersection over union J; 1 if both masks are empty.

    Args:
        predicted: bool (H, W).
        truth: bool (H, W).
    """
    union = np.count_nonzero(predicted | truth)
    return np.count_nonzero(predicted & truth) / union if union else 1.


def contour(mask: ndarray) -> ndarray:
    """Pixels that differ from their right, lower or lower right neighbor.

    Args:
        mask: bool (H, W).

    Returns:
        bool (H, W).
    """
    padded = np.pad(mask, (0, 1), mode='edge')
    found = ((mask != padded[:-1, 1:]) | (mask != padded[1:, :-1]))
    found[:-1, :-1] |= mask[:-1, :-1] != mask[1:, 1:]
    return found


def contour_accuracy(predicted: ndarray, truth: ndarray) -> float:
    """F-measure of the contours; 1 if both are empty.

    A pixel of a contour is matched if one of the other contour is within
    ``TOLERANCE`` times the diagonal, rounded up.

    Args:
        predicted: bool (H, W).
        truth: bool (H, W).
    """
    radius = math.ceil(TOLERANCE * math.hypot(*truth.shape))
    steps = np.arange(-radius, radius + 1)
    disc = (steps[:, None]**2 + steps**2 <= radius**2).astype(np.uint8)
    own, other = contour(predicted), contour(truth)
    if not own.any() and not other.any():
        return 1.
    matched = [
        np.count_nonzero(a & (cv2.dilate(b.astype(np.uint8), disc) > 0))
        for a, b in ((own, other), (other, own))]
    if not all(matched):  # without a contour nothing matches
        return 0.
    precision = matched[0] / np.count_nonzero(own)
    recall = matched[1] / np.count_nonzero(other)
    return 2 * precision * recall / (precision + recall)


def score_frame(predicted: ndarray, truth: ndarray,
                num_objects: int) -> ndarray:
    """J and F of each object in a frame.

    Args:
        predicted: Labels (H, W), 0 for background.
        truth: Labels (H, W); pixels of ``VOID`` belong to no object, whatever
            is predicted there.
        num_objects: Number of objects, whose labels are 1 and up.

    Returns:
        (num_objects, 2).
    """
    known = truth != VOID
    return np.array([
        [measure((predicted == i) & known, truth == i)
         for measure in (region_similarity, contour_accuracy)]
        for i in range(1, num_objects + 1)]).reshape(num_objects, 2)
