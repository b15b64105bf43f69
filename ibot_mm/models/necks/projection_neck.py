"""First layer of the projection head, for semi-supervised fine-tuning."""


from mmcv.cnn import build_activation_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ibot_mm.checkpoints.pretrained import init_from_checkpoint
from ibot_mm.checkpoints.unread import warn_if_unread
from ibot_mm.registry import MODELS


@MODELS.register_module()
class ProjectionNeck(BaseModule):
    """First linear layer and activation of ``IBOTNeck``.

    The semi-supervised protocol fine-tunes from the first projection layer
    instead of the backbone (paper, section 4.1, after SimCLRv2).

    Args:
        in_channels: Width of the backbone's tokens.
        hidden_channels: Width of the layer.
        act_cfg: Activation.
        init_cfg: ``dict(type='Pretrained', checkpoint=...)`` of a checkpoint
            with its projection head; see
            :func:`ibot_mm.checkpoints.pretrained.load_pretrained`.
    """

    def __init__(self,
                 in_channels: int,
                 hidden_channels: int = 2048,
                 act_cfg: dict = dict(type='GELU'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        self.mlp = nn.Sequential(
            nn.Linear(in_channels, hidden_channels),
            build_activation_layer(act_cfg))
        warn_if_unread(self, self)

    def init_weights(self) -> None:
        """Initialize from a checkpoint, or as ``IBOTNeck`` does."""
        if init_from_checkpoint(self, part='neck', keep_prefix='mlp.0.'):
            return
        super().init_weights()
        nn.init.trunc_normal_(self.mlp[0].weight, std=0.02)
        nn.init.zeros_(self.mlp[0].bias)

    def forward(self, feats: tuple[Tensor, ...]) -> tuple[Tensor]:
        """Return hidden vectors (B, D) of the last CLS tokens (B, C)."""
        return (self.mlp(feats[-1]), )
