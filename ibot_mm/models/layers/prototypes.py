"""The last layer of the projection head."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .precision import at_least_float32


class Prototypes(nn.Module):
    """Weight-normalized linear layer without bias: one row per prototype.

    Always runs in float32. The parameters have the names of
    ``torch.nn.utils.weight_norm``, so official weights can be loaded.

    Args:
        in_dim: Input width D.
        num_prototypes: Number of outputs K.
        learn_gain: Whether the gain ``weight_g`` is trained
            (``norm_last_layer=False``); it is initialized to 1.
    """

    def __init__(self, in_dim: int, num_prototypes: int,
                 learn_gain: bool) -> None:
        super().__init__()
        # Default initialization of nn.Linear, as in the official code.
        self.weight_v = nn.Parameter(
            nn.Linear(in_dim, num_prototypes, bias=False).weight.detach())
        self.weight_g = nn.Parameter(
            torch.ones(num_prototypes, 1), requires_grad=learn_gain)

    def forward(self, x: Tensor) -> Tensor:
        """Float32 logits (..., K) of bottleneck vectors (..., D)."""
        with torch.autocast(x.device.type, enabled=False):
            v, g = map(at_least_float32, (self.weight_v, self.weight_g))
            weight = v * (g / v.norm(dim=1, keepdim=True))
            return F.linear(at_least_float32(x), weight)
