"""LiDAR: the rank of linear discriminant analysis (arXiv 2312.04000)."""

import torch
from torch import Tensor

from ibot_mm.evaluation.frozen_teacher import FrozenTeacher
from ibot_mm.registry import EVALUATORS

from .rankme import effective_rank


def discriminant_spectrum(views: Tensor, delta: float) -> Tensor:
    """Eigenvalues of Sigma_w^-1/2 Sigma_b Sigma_w^-1/2.

    Sigma_b is the covariance of the means of the images, Sigma_w the mean
    covariance of the views of an image, plus delta I.

    Args:
        views: Features of n images in q views, (n, q, C).
        delta: Regularization.

    Returns:
        Float64, (C, ), ascending.
    """
    views = views.double()
    means = views.mean(1)
    between = means - means.mean(0)
    within = (views - means[:, None]).flatten(0, 1)
    sigma_b = between.T @ between / len(between)
    sigma_w = within.T @ within / len(within)
    sigma_w.diagonal().add_(delta)
    # L^-1 Sigma_b L^-T with Sigma_w = L L^T has the same eigenvalues.
    lower = torch.linalg.cholesky(sigma_w)
    half = torch.linalg.solve_triangular(lower, sigma_b, upper=False)
    whitened = torch.linalg.solve_triangular(lower, half.T, upper=False)
    return torch.linalg.eigvalsh(whitened).clamp(min=0)


@EVALUATORS.register_module()
class LiDAR:
    """Effective rank of what tells images apart, compared with their views.

    Linear discriminant analysis of the teacher's CLS tokens, where every
    image is a class and its augmented views are the samples. Directions that
    vary as much among the views of an image count little, which RankMe cannot
    see. The paper takes 1000 images and 50 views. With n images it is below
    n: take more than the width of the network.

    A complete collapse scores high: where all features are equal up to
    rounding, delta exceeds the spread of the views, and this is the rank of
    the rounding errors. Read it with :class:`RankMe`, which is 1 then, or
    :class:`Alignment`, which is 0.

    Args:
        delta: Added to the diagonal of the covariance within images.
    """

    def __init__(self, delta: float = 1e-4) -> None:
        self.delta = delta

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/lidar``, up to the width of the network."""
        return {'quality/lidar': effective_rank(discriminant_spectrum(
            teacher.views.vectors.to(teacher.device), self.delta))}
