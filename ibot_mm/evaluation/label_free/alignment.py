"""Alignment and uniformity of features on the sphere (arXiv 2005.10242)."""

import torch
import torch.nn.functional as F

from ibot_mm.datasets.image_lists import evenly_spaced
from ibot_mm.evaluation.frozen_teacher import FrozenTeacher
from ibot_mm.registry import EVALUATORS


@EVALUATORS.register_module()
class Alignment:
    """Mean squared distance of the unit-length features of two views.

    Over all pairs of views of an image; the exponent is 2. Lower is more
    alike: 0 for equal features, which collapsed ones are.
    """

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/alignment``, from 0 to 4."""
        unit = F.normalize(teacher.views.vectors.double(), dim=-1)
        count = unit.shape[1]
        # The sum of ||x - y||^2 over all ordered pairs, of which those of a
        # vector with itself are 0.
        total = 2 * (count**2 - unit.sum(1).square().sum(-1))
        return {'quality/alignment':
                float(total.mean() / (count * (count - 1)))}


@EVALUATORS.register_module()
class Uniformity:
    """Log of the mean of exp(-2 ||x - y||^2) over pairs of images.

    On the unit-length CLS tokens of the teacher. Lower is more uniform; 0 if
    all are equal.

    Args:
        num_images: Number of validation images, at equal distances.
    """

    def __init__(self, num_images: int = 2048) -> None:
        self.num_images = num_images

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/uniformity``, from about -4 to 0."""
        vectors = teacher.features.vectors
        chosen = vectors[evenly_spaced(len(vectors), self.num_images)]
        unit = F.normalize(chosen.to(teacher.device), dim=1)
        squares = torch.pdist(unit).square().double()
        return {'quality/uniformity':
                float(squares.mul(-2).exp().mean().log())}
