"""Interpolation of a grid whose target size is a tensor, for export."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def cubic(x: Tensor, a: float) -> Tensor:
    """Keys' cubic convolution kernel at distances x."""
    x = x.abs()
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0 * x))


class GridResize(nn.Module):
    """Bicubic interpolation along one axis as a matrix of traceable ops.

    It has the values of ``torch.nn.functional.interpolate``.

    Args:
        source: Length before.
        antialias: As of ``interpolate``.
    """

    def __init__(self, source: int, antialias: bool) -> None:
        super().__init__()
        self.source = source
        self.antialias = antialias
        # Beyond the border, the value at the border is taken, two times.
        positions = torch.arange(-2, source + 2)
        self.register_buffer('positions', positions.float(), False)
        self.register_buffer('border', F.one_hot(
            positions.clamp(0, source - 1), source).float(), False)

    def forward(self, target: Tensor, offset: Tensor) -> Tensor:
        """The matrix (target, source).

        Args:
            target: Length after, int64 ().
            offset: Added to the target in the scale factor, ().
        """
        ratio = self.source / (target + offset)
        center = (torch.arange(target, device=offset.device) + 0.5
                  ).unsqueeze(1) * ratio - 0.5
        if not self.antialias:
            return cubic(center - self.positions, -0.75) @ self.border
        weights = cubic((center - self.positions[2:-2])
                        / ratio.clamp(min=1), -0.5)
        return weights / weights.sum(1, keepdim=True)
