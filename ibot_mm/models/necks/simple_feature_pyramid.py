"""Simple feature pyramid of ViTDet (arXiv 2203.16527, section 3)."""

from collections.abc import Sequence

import torch.nn.functional as F
from mmengine.model import BaseModule
from mmpretrain.models.utils import LayerNorm2d
from torch import Tensor, nn

from ibot_mm.registry import MODELS

# Strides 4, 8, 16 and 32 from a map of stride 16.
SCALES = (4, 2, 1, 0.5)


def _resize(scale: float, channels: int) -> tuple[list[nn.Module], int]:
    """Return the layers of a scale and their number of output channels."""
    half, quarter = channels // 2, channels // 4
    if scale == 4:
        return [
            nn.ConvTranspose2d(channels, half, 2, stride=2),
            LayerNorm2d(half, eps=1e-6),
            nn.GELU(),
            nn.ConvTranspose2d(half, quarter, 2, stride=2)
        ], quarter
    if scale == 2:
        return [nn.ConvTranspose2d(channels, half, 2, stride=2)], half
    if scale == 1:
        return [], channels
    return [nn.MaxPool2d(2, stride=2)], channels


@MODELS.register_module()
class SimpleFeaturePyramid(BaseModule):
    """Feature pyramid of strides 4, 8, 16 and 32 from the last map of a ViT.

    It replaces an FPN. Transposed convolutions, which halve the channels,
    upsample the map and max-pooling downsamples it; a 1 x 1 and a 3 x 3
    convolution without bias follow, each with a layer norm over the channels.

    Args:
        in_channels: Channels C of the backbone's map; a multiple of 4.
        out_channels: Channels of all outputs.
        num_outs: Number of outputs, 4 or more; each further one subsamples
            the one before by 2 (the RPN takes 5).
        init_cfg: As in :class:`mmengine.model.BaseModule`. Without it the
            layers keep PyTorch's initialization.

    Raises:
        ValueError: ``in_channels`` is no multiple of 4, or ``num_outs`` is
            below 4.
    """

    def __init__(self,
                 in_channels: int,
                 out_channels: int = 256,
                 num_outs: int = 5,
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if in_channels % 4:
            raise ValueError('SimpleFeaturePyramid: in_channels must be a '
                             f'multiple of 4, got {in_channels}.')
        if num_outs < len(SCALES):
            raise ValueError('SimpleFeaturePyramid: num_outs must be '
                             f'{len(SCALES)} or more, got {num_outs}.')
        self.num_outs = num_outs
        self.branches = nn.ModuleList(
            self._branch(scale, in_channels, out_channels)
            for scale in SCALES)

    @staticmethod
    def _branch(scale: float, channels: int, out_channels: int) -> nn.Module:
        layers, width = _resize(scale, channels)
        return nn.Sequential(
            *layers,
            nn.Conv2d(width, out_channels, 1, bias=False),
            LayerNorm2d(out_channels, eps=1e-6),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            LayerNorm2d(out_channels, eps=1e-6))

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Build the pyramid of the last map.

        Args:
            maps: Maps of the backbone; the last is (B, C, h, w).

        Returns:
            ``num_outs`` maps (B, out_channels, s h, s w), s = 4, 2, 1, 0.5
            (rounded down), 0.25 ... (rounded up).
        """
        outs = [branch(maps[-1]) for branch in self.branches]
        while len(outs) < self.num_outs:
            outs.append(F.max_pool2d(outs[-1], 1, stride=2))
        return tuple(outs)
