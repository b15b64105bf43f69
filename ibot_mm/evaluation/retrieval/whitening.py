"""Whitening of features."""

import torch
from torch import Tensor

# Smallest eigenvalue, relative to the largest.
FLOOR = 1e-5


def fit_whitening(features: Tensor) -> tuple[Tensor, Tensor]:
    """Learn a whitening, as the official code of DINO does.

    The mean is subtracted from what is whitened, but the eigenvectors are
    those of the second moment around zero, X^T X / N.

    Args:
        features: X, (N, C).

    Returns:
        Mean (C,) and matrix (C, C), float64: ``(x - mean) @ matrix`` has the
        directions of the eigenvectors, each divided by the root of its
        eigenvalue, of which the small ones count as ``FLOOR`` times the
        largest.
    """
    features = features.double()
    values, vectors = torch.linalg.eigh(features.T @ features / len(features))
    values = values.clamp(min=FLOOR * float(values.max()))
    return features.mean(0), vectors / values.sqrt()
