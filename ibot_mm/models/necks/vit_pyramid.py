"""Maps of four strides from four layers of a plain ViT."""

from collections.abc import Sequence

from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ibot_mm.registry import MODELS


@MODELS.register_module()
class ViTPyramid(BaseModule):
    """Resize the maps of several layers, each to its own stride.

    From maps of stride 16 the default scales make the strides 4, 8, 16 and
    32 that FPN and UperNet expect, as the detection and segmentation code of
    iBOT does (after BEiT, arXiv 2106.08254):

    - 4: 2 x 2 transposed convolution, norm, activation, another such
      convolution;
    - 2: one 2 x 2 transposed convolution;
    - 1: nothing;
    - 0.5: 2 x 2 max-pooling, which leaves out an odd last row or column.

    In MMDetection a list puts it before the FPN:
    ``neck=[dict(type='ibot_mm.ViTPyramid', ...), dict(type='FPN', ...)]``.

    PyTorch's ``SyncBN`` is plain batch norm in a single process, on a CPU
    too (MMEngine's runner replaces it there). Several processes on CPUs
    cannot train with it: set ``norm_cfg=dict(type='BN')``.

    Args:
        in_channels: Channels C of the maps, before and after.
        scales: Factor of each map, of 4, 2, 1 and 0.5.
        norm_cfg: Norm of scale 4.
        act_cfg: Activation of scale 4.
        init_cfg: As in :class:`mmengine.model.BaseModule`. Without one, the
            layers keep PyTorch's initialisation.

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
            f'ViTPyramid: scales must be of 4, 2, 1 and 0.5, got {scale}.')

    def forward(self, maps: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """Resize each map by its scale.

        Args:
            maps: One (B, C, h, w) for each of ``scales``.

        Returns:
            (B, C, s h, s w) for each scale s, rounded down.

        Raises:
            ValueError: There are more or fewer maps than scales.
        """
        if len(maps) != len(self.branches):
            raise ValueError(
                f'ViTPyramid: got {len(maps)} maps for {len(self.branches)} '
                "scales: set the backbone's out_indices to as many layers.")
        return tuple(
            branch(x) for branch, x in zip(self.branches, maps))
