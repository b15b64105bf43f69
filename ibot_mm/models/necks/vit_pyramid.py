"""Feature pyramid from several layers of a plain ViT."""

from collections.abc import Sequence

from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ibot_mm.registry import MODELS


@MODELS.register_module()
class ViTPyramid(BaseModule):
    """Resize the maps of several layers, each by its own scale.

    This is MMSegmentation's ``Feature2Pyramid`` for detectors, without the
    need to install MMSegmentation: the same layers in the same order. Unlike
    ``Feature2Pyramid``, it takes any number of the scales in any order, such
    as (2, 1, 0.5) for patches of 8.

    From maps of stride 16 the default scales make the strides 4, 8, 16 and
    32 that FPN and UperNet expect, as in the detection and segmentation code
    of iBOT (after BEiT, arXiv 2106.08254):

    - 4: 2 x 2 transposed convolution, norm, activation, 2 x 2 transposed
      convolution;
    - 2: 2 x 2 transposed convolution;
    - 1: identity;
    - 0.5: 2 x 2 max-pooling, which drops an odd last row or column.

    In MMDetection a list puts it before the FPN:
    ``neck=[dict(type='ibot_mm.ViTPyramid', ...), dict(type='FPN', ...)]``.

    In a single process ``SyncBN`` is plain batch norm (MMEngine's Runner
    replaces it). Several processes on CPUs cannot train with it: set
    ``norm_cfg=dict(type='BN')``.

    Args:
        in_channels: Channels C of the input and output maps.
        scales: Scale of each map: 4, 2, 1 or 0.5.
        norm_cfg: Norm of scale 4.
        act_cfg: Activation of scale 4.
        init_cfg: As in :class:`mmengine.model.BaseModule`. Without it the
            layers keep PyTorch's initialization.

    Raises:
        ValueError: A scale is none of the four.
    """

    def __init__(self,
                 in_channels: int,
                 scales: Sequence[float] = (4, 2, 1, 0.5),
                 norm_cfg: dict = dict(type='SyncBN'),
                 act_cfg: dict = dict(type='GELU'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.branches = nn.ModuleList(
            self._branch(scale, in_channels, norm_cfg, act_cfg)
            for scale in scales)

    @staticmethod
    def _branch(scale: float, channels: int, norm_cfg: dict,
                act_cfg: dict) -> nn.Module:
        def double() -> nn.Module:
            return nn.ConvTranspose2d(channels, channels, 2, stride=2)

        if scale == 4:
            return nn.Sequential(
                double(),
                build_norm_layer(norm_cfg, channels)[1],
                build_activation_layer(act_cfg), double())
        if scale == 2:
            return double()
        if scale == 1:
            return nn.Identity()
        if scale == 0.5:
            return nn.MaxPool2d(2, stride=2)
        raise ValueError(
            f'ViTPyramid: scales must be 4, 2, 1 or 0.5, got {scale}.')

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Resize each map by its scale.

        Args:
            maps: One map (B, C, h, w) per scale.

        Returns:
            One map (B, C, s h, s w) per scale s, rounded down.

        Raises:
            ValueError: The numbers of maps and scales differ.
        """
        if len(maps) != len(self.branches):
            raise ValueError(
                f'ViTPyramid: got {len(maps)} maps for {len(self.branches)} '
                "scales; set the backbone's out_indices to as many layers.")
        return tuple(
            branch(x) for branch, x in zip(self.branches, maps))
