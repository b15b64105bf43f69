"""Projection head h of iBOT (paper, section 3.2 and appendix A)."""

import torch
import torch.nn.functional as F
from mmcv.cnn import build_activation_layer, build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn

from ibot_mm.checkpoints.pretrained import init_from_checkpoint
from ibot_mm.models.layers.precision import at_least_float32
from ibot_mm.models.layers.prototypes import Prototypes
from ibot_mm.registry import MODELS


@MODELS.register_module()
class IBOTNeck(BaseModule):
    """MLP to a normalized bottleneck, then prototypes for both token kinds.

    Args:
        in_channels: Width of the backbone's tokens.
        hidden_channels: Width of the hidden layers.
        bottleneck_channels: Width of the bottleneck.
        num_layers: Linear layers in the MLP.
        num_prototypes: Prototypes K of the CLS tokens.
        num_patch_prototypes: Prototypes of the patch tokens; K if None.
        shared_head: Whether CLS and patch tokens share one prototype layer.
        norm_last_layer: Whether the gain of the prototypes is fixed at 1.
        norm_cfg: Norm after the hidden layers (one module used at every
            position, as in the official code), e.g. ``dict(type='SyncBN')``
            or ``dict(type='LN')``.
        act_cfg: Activation after the hidden layers.
        init_cfg: As in MMPretrain; ``dict(type='Pretrained',
            checkpoint=...)`` takes the head of a checkpoint of this package
            or of the official code.

    Raises:
        ValueError: A size is too small, the norm is one for maps, or a shared
            head has different numbers of prototypes.
    """

    def __init__(self,
                 in_channels: int,
                 hidden_channels: int = 2048,
                 bottleneck_channels: int = 256,
                 num_layers: int = 3,
                 num_prototypes: int = 8192,
                 num_patch_prototypes: int | None = None,
                 shared_head: bool = True,
                 norm_last_layer: bool = True,
                 norm_cfg: dict | None = None,
                 act_cfg: dict = dict(type='GELU'),
                 init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg)
        if num_layers < 2:
            raise ValueError(
                f'IBOTNeck: num_layers must be 2 or more, got {num_layers}.')
        if num_patch_prototypes is None:
            num_patch_prototypes = num_prototypes
        sizes = dict(in_channels=in_channels, hidden_channels=hidden_channels,
                     bottleneck_channels=bottleneck_channels,
                     num_prototypes=num_prototypes,
                     num_patch_prototypes=num_patch_prototypes)
        for name, size in sizes.items():
            if size < 1:
                raise ValueError(f'IBOTNeck: {name} must be 1 or more, got '
                                 f'{size}.')
        if norm_cfg and norm_cfg['type'] in ('BN', 'BN2d'):
            raise ValueError(
                f'IBOTNeck: norm_cfg of type {norm_cfg["type"]!r} is for '
                "maps, tokens need 'BN1d', 'SyncBN' or 'LN'.")
        if shared_head and num_patch_prototypes != num_prototypes:
            raise ValueError(
                'IBOTNeck: a shared head needs num_patch_prototypes '
                f'({num_patch_prototypes}) equal to num_prototypes '
                f'({num_prototypes}).')
        self.num_prototypes = num_prototypes
        self.num_patch_prototypes = num_patch_prototypes
        self.shared_head = shared_head

        norm = build_norm_layer(
            norm_cfg, hidden_channels)[1] if norm_cfg else None
        widths = [in_channels] + [hidden_channels] * (num_layers - 1)
        layers = []
        for width_in, width_out in zip(widths[:-1], widths[1:]):
            layers.append(nn.Linear(width_in, width_out))
            if norm is not None:
                layers.append(norm)
            layers.append(build_activation_layer(act_cfg))
        layers.append(nn.Linear(hidden_channels, bottleneck_channels))
        self.mlp = nn.Sequential(*layers)
        self.last_layer = Prototypes(bottleneck_channels, num_prototypes,
                                     not norm_last_layer)
        self.last_layer2 = None if shared_head else Prototypes(
            bottleneck_channels, num_patch_prototypes, not norm_last_layer)

    @property
    def uses_batch_statistics(self) -> bool:
        """Whether an output depends on the other tokens of the batch."""
        return any(
            isinstance(m, nn.modules.batchnorm._BatchNorm)
            for m in self.mlp)

    @property
    def patch_layer(self) -> Prototypes:
        """Prototypes of the patch tokens."""
        return self.last_layer if self.shared_head else self.last_layer2

    def init_weights(self) -> None:
        """Initialize from ``init_cfg``, or the MLP with a std of 0.02.

        Without an ``init_cfg`` weights are truncated normal and biases 0.
        """
        if init_from_checkpoint(self, part='neck'):
            return
        super().init_weights()
        for module in self.mlp:
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def project(self, x: Tensor) -> Tensor:
        """Project tokens to bottleneck vectors of unit length.

        Args:
            x: Tokens, (M, C).

        Returns:
            (M, D), float32.
        """
        return F.normalize(at_least_float32(self.mlp(x)), dim=-1)

    def logits(self, z_cls: Tensor,
               z_patch: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of both token kinds, in one matrix product if shared.

        Args:
            z_cls: Bottlenecks of CLS tokens, (M, D).
            z_patch: Bottlenecks of patch tokens, (P, D).

        Returns:
            (M, K) and (P, K_patch), float32.
        """
        if self.last_layer2 is not None:
            return self.last_layer(z_cls), self.last_layer2(z_patch)
        logits = self.last_layer(torch.cat([z_cls, z_patch]))
        return logits[:len(z_cls)], logits[len(z_cls):]

    def forward(self,
                cls: Tensor,
                patch: Tensor | None = None,
                index: Tensor | None = None
                ) -> tuple[Tensor, Tensor | None]:
        """Logits of CLS tokens and of some patch tokens.

        All tokens pass through the MLP together. If the MLP uses no batch
        statistics, only the patches of ``index`` do.

        Args:
            cls: CLS tokens, (M, C).
            patch: Patch tokens, (N, C).
            index: Patches whose logits are needed, int64 (P,); None for all.

        Returns:
            (M, K) and (P, K_patch), float32; the latter None without
            ``patch``.
        """
        if patch is None:
            return self.last_layer(self.project(cls)), None
        if index is not None and not self.uses_batch_statistics:
            patch, index = patch[index], None
        z = self.project(torch.cat([cls, patch]))
        z_cls, z_patch = z[:len(cls)], z[len(cls):]
        return self.logits(z_cls, z_patch if index is None else z_patch[index])
