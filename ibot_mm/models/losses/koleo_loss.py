"""KoLeo regularizer, which spreads features evenly over the sphere."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ibot_mm.models.layers.precision import at_least_float32
from ibot_mm.registry import MODELS


@MODELS.register_module()
class KoLeoLoss(nn.Module):
    """-mean_i log(min_{j != i} |x_i - x_j|) of unit vectors.

    Sablayrolles et al., arXiv 1806.03198, equation 2 (Kozachenko-Leonenko
    estimator of the entropy); used on the student's CLS tokens of each global
    view in DINOv2 (arXiv 2304.07193, section 4) with a weight of 0.1.
    Neighbors are sought among the images of the same rank. The estimate needs
    enough images: below ``min_batch`` per rank the loss is 0.

    Args:
        loss_weight: Weight of the loss.
        min_batch: Minimum number of images per rank, at least 2.
        eps: Added to the distances, for duplicates.
    """

    def __init__(self,
                 loss_weight: float = 0.1,
                 min_batch: int = 8,
                 eps: float = 1e-8) -> None:
        super().__init__()
        if min_batch < 2:
            raise ValueError('KoLeoLoss: min_batch must be 2 or more, got '
                             f'{min_batch}: one image has no neighbor.')
        self.loss_weight = loss_weight
        self.min_batch = min_batch
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        """Loss of the CLS tokens of some views.

        Args:
            features: (G, B, C); neighbors are sought within a view.

        Returns:
            Mean over views and images times the weight, a scalar.
        """
        if features.shape[1] < self.min_batch:
            return features.new_zeros(())
        with torch.autocast(features.device.type, enabled=False):
            x = F.normalize(at_least_float32(features), dim=-1)
            with torch.no_grad():
                similarity = x @ x.transpose(1, 2)
                similarity.diagonal(dim1=1, dim2=2).fill_(-2)
                nearest = similarity.argmax(-1, keepdim=True)
            neighbor = x.gather(1, nearest.expand_as(x))
            # sqrt(2 - 2 cos) would be inexact for close neighbors.
            distance = (x - neighbor).norm(dim=-1)
            return -self.loss_weight * (distance + self.eps).log().mean()
