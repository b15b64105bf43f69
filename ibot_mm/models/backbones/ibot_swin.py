"""Swin transformer with a mask token."""

from collections.abc import Sequence

import torch
from mmpretrain.models.backbones import SwinTransformer
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ibot_mm.checkpoints.pretrained import init_from_checkpoint
from ibot_mm.checkpoints.unread import warn_if_unread
from ibot_mm.models.layers.activation_checkpointing import use_checkpointing
from ibot_mm.models.layers.drop_path import plain_drop_rates
from ibot_mm.models.layers.freezing import check_frozen_stages, freeze
from ibot_mm.models.layers.patch_embed import inflate_channels
from ibot_mm.models.layers.pos_embed import resize_bias_table
from ibot_mm.registry import MODELS


@MODELS.register_module()
class IBOTSwin(SwinTransformer):
    """MMPretrain's SwinTransformer plus the mask token of iBOT.

    All other parameters have MMPretrain's names. As in the official code, a
    stage whose feature map at ``img_size`` is not larger than the window uses
    a window of the map's size and no shift, and maps of other sizes are
    padded to a multiple of the window (the padding takes part in attention).

    Args:
        arch: 'tiny', 'small', 'base', 'large' or a dict as in MMPretrain.
        img_size: Input size that determines the windows.
        patch_size: Patch size of the first stage in pixels.
        window_size: Size of the attention windows, 7 or 14.
        with_mask_token: Whether to add a mask token, which only the student
            of a pre-training needs.
        with_cp: Whether to use activation checkpointing.
        out_indices: Stages whose feature maps :meth:`forward` returns.
        frozen_stages: Last stage k to freeze, from 0 to the number of stages
            less one: the patch embedding, stages 0 to k and the norms of
            their outputs have no gradients, eval mode and no drop path, also
            after ``train()``. -1 freezes nothing.
        norm_cfg: Norm of the outputs.
        init_cfg: As in MMPretrain; ``dict(type='Pretrained',
            checkpoint=...)`` accepts every kind of checkpoint and the
            arguments of
            :func:`ibot_mm.checkpoints.pretrained.load_pretrained`. Without
            it, weights are initialized as in the official code.
        **kwargs: Passed to MMPretrain's SwinTransformer.

    Raises:
        TypeError: An option is given that is fixed in the published models.
        ValueError: ``frozen_stages`` is out of range.
    """

    def __init__(self,
                 arch: str | dict = 'tiny',
                 *,
                 img_size: int | tuple[int, int] = 224,
                 patch_size: int = 4,
                 window_size: int = 7,
                 out_indices: Sequence[int] = (3, ),
                 with_mask_token: bool = False,
                 with_cp: bool = False,
                 frozen_stages: int = -1,
                 norm_cfg: dict | None = dict(type='LN', eps=1e-6),
                 init_cfg: dict | None = None,
                 **kwargs) -> None:
        depths = (self.arch_zoo[arch.lower()]
                  if isinstance(arch, str) else arch)['depths']
        for key in ('stage_cfgs', 'pad_small_map', 'use_abs_pos_embed'):
            if key in kwargs:
                raise TypeError(
                    f'IBOTSwin does not accept {key}: it is fixed in the '
                    'published models; remove it.')
        norm = norm_cfg or dict(type='LN', eps=1e-6)
        patch_cfg = dict(norm_cfg=norm, **kwargs.pop('patch_cfg', {}))
        resolution = min(to_2tuple(img_size)) // patch_size
        stage_cfgs = [
            self._stage_cfg(resolution // 2**i, window_size, norm)
            for i in range(len(depths))
        ]
        # SwinTransformer uses downsample_cfg only in stages that downsample.
        super().__init__(
            arch=arch,
            img_size=img_size,
            patch_size=patch_size,
            window_size=window_size,
            out_indices=out_indices,
            pad_small_map=True,
            norm_cfg=norm_cfg,
            stage_cfgs=stage_cfgs,
            patch_cfg=patch_cfg,
            init_cfg=init_cfg,
            **kwargs)
        plain_drop_rates(self)
        if with_cp:
            for block in self.blocks:
                use_checkpointing(block)
        self.mask_token = nn.Parameter(torch.zeros(
            1, 1, self.embed_dims)) if with_mask_token else None
        check_frozen_stages('IBOTSwin', frozen_stages, len(depths) - 1)
        self.frozen_stages = frozen_stages
        # The base class freezes in train(), which is called after the
        # optimizer and DDP have collected the parameters.
        self._freeze_stages()
        warn_if_unread(self, self.patch_embed)

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        count = self.frozen_stages + 1
        freeze(self.patch_embed, self.mask_token, self.drop_after_pos,
               *self.stages[:count],
               *(getattr(self, f'norm{i}', None) for i in range(count)))

    @staticmethod
    def _stage_cfg(resolution: int, window_size: int, norm: dict) -> dict:
        block_cfgs = dict(norm_cfg=norm)
        if resolution <= window_size:
            window_size = resolution
            block_cfgs['attn_cfgs'] = dict(shift_size=0)
        return dict(
            window_size=window_size,
            block_cfgs=block_cfgs,
            downsample_cfg=dict(norm_cfg=norm))

    def init_weights(self) -> None:
        """Initialize from ``init_cfg`` or as in the official code."""
        # A pre-training says if it starts from windows of another size.
        if init_from_checkpoint(self,
                                resize_positions=self.mask_token is None):
            return
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        if self.mask_token is not None:
            nn.init.zeros_(self.mask_token)

    def fit_channels(self, weight: Tensor) -> Tensor:
        """Patch embedding of a checkpoint for the input channels."""
        return inflate_channels(weight,
                                self.patch_embed.projection.in_channels)

    def _prepare_relative_position_bias_table(
            self, state_dict: dict[str, Tensor], prefix: str, *args,
            **kwargs) -> None:
        """Resize the bias tables on load (pre-hook of the base class).

        Overrides MMPretrain's, which needs a function removed from SciPy.
        """
        # Constants of the window: some files lack the index, others contain
        # masks that MMPretrain computes in the forward pass.
        for name in [n for n in state_dict if n.startswith(prefix)
                     and n.endswith('.attn_mask')]:
            del state_dict[name]
        for key, own in self.state_dict().items():
            name = prefix + key
            if key.endswith('relative_position_index'):
                state_dict[name] = own
                continue
            if name not in state_dict:
                continue
            given = state_dict[name]
            if (key.endswith('relative_position_bias_table')
                  and given.shape != own.shape
                  and given.shape[1:] == own.shape[1:]):
                state_dict[name] = resize_bias_table(given, len(own))

    def _embed(self, x: Tensor, mask: Tensor | None
               ) -> tuple[Tensor, tuple[int, int]]:
        """Embed and mask images; returns tokens (B, N, C) and the grid."""
        x, grid = self.patch_embed(x)
        if mask is not None:
            if self.mask_token is None:
                raise ValueError(
                    'IBOTSwin got a mask but has no mask token: build it with '
                    'with_mask_token=True.')
            # The mask is on the grid of the last stage.
            for dim, size in zip((1, 2), grid):
                mask = mask.repeat_interleave(
                    size // mask.shape[dim], dim=dim)
            x = torch.where(
                mask.flatten(1).unsqueeze(-1), self.mask_token.to(x.dtype), x)
        return self.drop_after_pos(x), grid

    @property
    def newly_initialized(self) -> list[str]:
        """Names of parameters that no pre-training checkpoint has.

        These are the output norms of all stages but the last.
        """
        return [
            f'norm{i}.{name}' for i in self.out_indices
            if i < len(self.stages) - 1
            for name in getattr(self, f'norm{i}').state_dict()
        ]

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer blocks of all stages."""
        return [block for stage in self.stages for block in stage.blocks]

    @property
    def block_widths(self) -> list[int]:
        """Token width after each block."""
        return [
            stage.embed_dims for stage in self.stages for _ in stage.blocks
        ]

    def extract_tokens(self, x: Tensor, mask: Tensor | None = None
                       ) -> tuple[Tensor, Tensor]:
        """Mean token and tokens of the last stage after its norm.

        Args:
            x: Images, (B, C_in, H, W).
            mask: Regions to replace with the mask token, bool (B, h, w) on
                the grid of the last stage.

        Returns:
            Mean tokens (B, C), used as CLS tokens, and all tokens
            (B, h * w, C).
        """
        x, grid = self._embed(x, mask)
        for stage in self.stages:
            x, grid = stage(x, grid, do_downsample=True)
        tokens = getattr(self, f'norm{len(self.stages) - 1}')(x)
        return tokens.mean(dim=1), tokens

    def extract_cls(self, x: Tensor) -> Tensor:
        """Mean tokens (B, C) of images (B, C_in, H, W)."""
        return self.extract_tokens(x)[0]

    def extract_last_blocks(self, x: Tensor, num_blocks: int
                            ) -> list[tuple[Tensor, Tensor]]:
        """Tokens of the last blocks; those of the last stage normed.

        Earlier stages have no output norm in pre-training, so their tokens
        are not normed, as in the official evaluation.

        Args:
            x: Images, (B, C_in, H, W).
            num_blocks: Number of blocks.

        Returns:
            Mean tokens (B, C_i) and tokens (B, h_i * w_i, C_i) per block, in
            order.
        """
        x, grid = self._embed(x, None)
        last = len(self.stages) - 1
        outs = []
        for i, stage in enumerate(self.stages):
            for block in stage.blocks:
                x = block(x, grid)
                tokens = getattr(self, f'norm{i}')(x) if i == last else x
                outs.append((tokens.mean(dim=1), tokens))
            if stage.downsample is not None:
                x, grid = stage.downsample(x, grid)
        return outs[-num_blocks:]

    def last_attention(self, x: Tensor) -> Tensor:
        """Attention of the last block, after the softmax.

        There is no CLS token: every patch attends to those of its window.

        Args:
            x: Images, (B, C_in, H, W).

        Returns:
            (B * windows, heads, w * w, w * w), from queries in the last
            dimension but one to keys in the last, for windows of side w, row
            by row. A map that is no multiple of w is padded.
        """
        found: list[Tensor] = []
        handle = self.blocks[-1].attn.w_msa.softmax.register_forward_hook(
            lambda module, args, out: found.append(out))
        try:
            self.extract_tokens(x)
        finally:
            handle.remove()
        return found[0]

    def forward(self, x: Tensor, mask: Tensor | None = None
                ) -> tuple[Tensor, ...]:
        """Feature maps of the stages in ``out_indices``.

        Args:
            x: Images, (B, C_in, H, W).
            mask: See :meth:`extract_tokens`.

        Returns:
            One map (B, C_i, h_i, w_i) per entry of ``out_indices``.
        """
        x, grid = self._embed(x, mask)
        outs = []
        for i, stage in enumerate(self.stages):
            x, grid = stage(x, grid, do_downsample=False)
            if i in self.out_indices:
                out = getattr(self, f'norm{i}')(x)
                outs.append(
                    out.unflatten(1, grid).permute(0, 3, 1, 2).contiguous())
            if stage.downsample is not None:
                x, grid = stage.downsample(x, grid)
        return tuple(outs)

    def train(self, mode: bool = True) -> 'IBOTSwin':
        """Set the mode and, unlike the base class, return the module."""
        super().train(mode)
        return self
