"""RankMe: the effective rank of features (arXiv 2210.02885)."""

import torch
from torch import Tensor

from ibot_mm.datasets.image_lists import evenly_spaced
from ibot_mm.evaluation.frozen_teacher import FrozenTeacher
from ibot_mm.registry import EVALUATORS


def effective_rank(spectrum: Tensor, epsilon: float = 1e-7) -> float:
    """Exponential of the entropy of a spectrum (arXiv 2210.02885, eq. 1).

    Args:
        spectrum: Singular values or eigenvalues, not negative, (n, ).
        epsilon: Added to the shares of their sum.

    Returns:
        From 1, for one value alone, to n for equal values; 0 if all are 0.
    """
    total = spectrum.sum()
    if not total:
        return 0.
    shares = spectrum / total + epsilon
    return float(torch.exp(-(shares * shares.log()).sum()))


@EVALUATORS.register_module()
class RankMe:
    """Effective rank of the teacher's CLS tokens, by their singular values.

    The higher, the more dimensions are in use. The features are neither
    centered nor of unit length.

    Args:
        num_images: Number of validation images, at equal distances. The paper
            takes 25,600.
    """

    def __init__(self, num_images: int = 25_600) -> None:
        self.num_images = num_images

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/rankme``, from 1 to the width of the network."""
        vectors = teacher.features.vectors
        chosen = vectors[evenly_spaced(len(vectors), self.num_images)]
        return {'quality/rankme': effective_rank(torch.linalg.svdvals(
            chosen.to(teacher.device).double()))}
