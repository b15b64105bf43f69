"""Vision transformer with a mask token and register tokens."""

import math
from collections.abc import Iterator, Sequence
from itertools import islice, repeat

import numpy as np
import torch
from mmengine.model import ModuleList
from mmpretrain.models.backbones import VisionTransformer
from mmpretrain.models.utils import to_2tuple
from torch import Tensor, nn

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.pretrained import init_from_checkpoint
from ibot_mm.checkpoints.unread import warn_if_unread
from ibot_mm.models.layers.activation_checkpointing import use_checkpointing
from ibot_mm.models.layers.drop_path import drop_path_scales
from ibot_mm.models.layers.freezing import check_frozen_stages, freeze
from ibot_mm.models.layers.patch_embed import inflate_channels, resize_kernel
from ibot_mm.models.layers.pos_embed import interpolate_positions
from ibot_mm.models.layers.vit_layer import ViTLayer
from ibot_mm.registry import MODELS


@MODELS.register_module()
class IBOTViT(VisionTransformer):
    """MMPretrain's VisionTransformer plus mask token and register tokens.

    All other parameters have MMPretrain's names, so the weights of a teacher
    (which has no mask token) load in ``mmpretrain.VisionTransformer``
    unchanged, if there are no register tokens.

    For detection and segmentation it returns feature maps
    (``out_type='featmap'``) of several layers. Images of any size are
    accepted: they are zero-padded at the right and the bottom to a multiple
    of the patch size, and the position embeddings are resized to the grid.

    Args:
        arch: 'tiny', 'small', 'base' or 'large' as in DeiT and the paper
            (MMPretrain's own 'small' is another network; its 'deit-small' is
            this one), any other name that MMPretrain knows, or a dict as in
            MMPretrain.
        with_mask_token: Whether to add a mask token, which only the student
            of a pre-training needs.
        num_register_tokens: Number of learned tokens between CLS and patch
            tokens (arXiv 2309.16588), which take part in attention, have no
            position and are in no output; 0 for none, as in the paper.
        interpolate_offset: See :func:`interpolate_positions`. None is 0.1, or
            0 with register tokens, as in DINOv2.
        interpolate_antialias: See :func:`interpolate_positions`. None is
            False, or True with register tokens, as in DINOv2.
        drop_path_rate: Drop path rate of the last layer; it rises linearly
            from 0 at the first.
        drop_path_type: 'image' drops residuals per image after computing all
            of them; 'batch' computes the residuals of a random part of the
            batch only (:func:`add_subset_residual`), with the same
            expectation.
        with_cp: Whether to use activation checkpointing.
        out_indices: Layers whose outputs :meth:`forward` returns, ascending;
            -1 is the last.
        out_with_norm: Whether to apply the final norm to the outputs: one
            flag for all or one per entry of ``out_indices``. None applies it
            to the last layer's output only, as MMPretrain. If it applies to
            no output, there is no final norm (``final_norm=False``), because
            DDP rejects parameters without gradients; that of a checkpoint is
            then dropped.
        frozen_stages: Number k of leading layers to freeze together with the
            embeddings, from 0 to the number of layers (all layers: the final
            norm too): no gradients, eval mode, no drop path, also after
            ``train()``. -1 freezes nothing.
        init_cfg: As in MMPretrain; ``dict(type='Pretrained',
            checkpoint=...)`` accepts every kind of checkpoint and the
            arguments of
            :func:`ibot_mm.checkpoints.pretrained.load_pretrained`. Without
            it, weights are initialized as in the official code: truncated
            normal (std 0.02) for linear layers, position embedding, CLS and
            register tokens, zero for biases and the mask token.
        **kwargs: Passed to MMPretrain's VisionTransformer, among them
            ``layer_scale_init_value``: LayerScale of both residuals with this
            initial value, such as the 1e-5 of DINOv2; 0 for none.

    Raises:
        ValueError: An option or a combination of options is invalid.
    """

    arch_zoo = {
        **VisionTransformer.arch_zoo,
        **dict.fromkeys(['t', 'tiny'],
                        VisionTransformer.arch_zoo['deit-tiny']),
        **dict.fromkeys(['s', 'small'],
                        VisionTransformer.arch_zoo['deit-small']),
    }

    def __init__(self,
                 arch: str | dict = 'small',
                 *,
                 with_mask_token: bool = False,
                 num_register_tokens: int = 0,
                 interpolate_offset: float | None = None,
                 interpolate_antialias: bool | None = None,
                 drop_path_rate: float = 0.,
                 drop_path_type: str = 'image',
                 with_cp: bool = False,
                 out_indices: int | Sequence[int] = -1,
                 out_with_norm: bool | Sequence[bool] | None = None,
                 final_norm: bool = True,
                 frozen_stages: int = -1,
                 init_cfg: dict | None = None,
                 **kwargs) -> None:
        if drop_path_type not in ('image', 'batch'):
            raise ValueError("IBOTViT: drop_path_type must be 'image' or "
                             f"'batch', got {drop_path_type!r}.")
        by_batch = drop_path_type == 'batch'
        # A copy: the base class resolves negative indices in place.
        out_indices = ([out_indices] if isinstance(out_indices, int) else
                       list(out_indices))
        if isinstance(out_with_norm, bool):
            out_with_norm = [out_with_norm] * len(out_indices)
        if out_with_norm is not None and any(out_with_norm) > final_norm:
            raise ValueError('IBOTViT: out_with_norm asks for the final norm, '
                             'which final_norm=False removes.')
        super().__init__(
            arch=arch,
            out_indices=out_indices,
            final_norm=(final_norm
                        if out_with_norm is None else any(out_with_norm)),
            init_cfg=init_cfg,
            **kwargs)
        self.output_norms = self._norms_of_outputs(out_with_norm)
        self._register_load_state_dict_pre_hook(self._drop_absent_norm)
        rates = np.linspace(0, drop_path_rate, self.num_layers).tolist()
        self.layers = ModuleList([
            ViTLayer(layer, rate if by_batch else 0.)
            for layer, rate in zip(self.layers, rates)])
        # The first layer, whose rate is 0, has none.
        self.register_buffer(
            'keep_rates', None if by_batch or not drop_path_rate else
            1 - torch.tensor(rates[1:]).view(-1, 1, 1, 1, 1), False)
        if with_cp:
            for layer in self.layers:
                use_checkpointing(layer)
        registers = num_register_tokens > 0
        if interpolate_offset is None:
            interpolate_offset = 0. if registers else 0.1
        if interpolate_antialias is None:
            interpolate_antialias = registers
        self.interpolation = (self.interpolate_mode, interpolate_offset,
                              interpolate_antialias)
        # The base class counts tokens with a position: CLS.
        self.num_prefix_tokens = self.num_extra_tokens + num_register_tokens
        self.register_tokens = nn.Parameter(torch.zeros(
            1, num_register_tokens, self.embed_dims)) if registers else None
        self.mask_token = nn.Parameter(torch.zeros(
            1, 1, self.embed_dims)) if with_mask_token else None
        check_frozen_stages('IBOTViT', frozen_stages, self.num_layers)
        self.frozen_stages = frozen_stages
        self._freeze_stages()
        warn_if_unread(self, self.patch_embed)

    def _norms_of_outputs(
            self, flags: Sequence[bool] | None) -> dict[int, bool]:
        """Whether the output is normed, by layer in ``out_indices``."""
        last = self.num_layers - 1
        indices = list(self.out_indices)
        if indices != sorted(set(indices)) or max(indices) > last:
            raise ValueError('IBOTViT: out_indices must be ascending layer '
                             f'numbers from 0 to {last}, got {indices}.')
        if flags is None:
            flags = [self.final_norm and i == last for i in indices]
        if len(flags) != len(indices):
            raise ValueError(f'IBOTViT: out_with_norm has {len(flags)} flags '
                             f'for {len(indices)} out_indices.')
        return dict(zip(indices, map(bool, flags)))

    def _freeze_stages(self) -> None:
        if self.frozen_stages < 0:
            return
        freeze(self.patch_embed, self.pos_embed, self.cls_token,
               self.register_tokens, self.mask_token, self.drop_after_pos,
               self.pre_norm,
               *self.layers[:self.frozen_stages])
        if self.frozen_stages == self.num_layers:
            freeze(getattr(self, 'ln1', None), getattr(self, 'ln2', None))

    def init_weights(self) -> None:
        """Initialize from ``init_cfg`` or as in the official code."""
        # A pre-training says if it starts from positions of another size.
        if init_from_checkpoint(self,
                                resize_positions=self.mask_token is None):
            return
        super().init_weights()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        if self.cls_token is not None:
            nn.init.trunc_normal_(self.cls_token, std=0.02)
        if self.register_tokens is not None:
            # DINOv2's std of 1e-6 makes their gradients, which pass the first
            # norm, 20 times as large.
            nn.init.trunc_normal_(self.register_tokens, std=0.02)
        if self.mask_token is not None:
            nn.init.zeros_(self.mask_token)

    def fit_channels(self, weight: Tensor) -> Tensor:
        """Patch embedding of a checkpoint for the input channels."""
        return inflate_channels(weight,
                                self.patch_embed.projection.in_channels)

    def fit_patches(self, weight: Tensor) -> Tensor:
        """Patch embedding of a checkpoint for the patch size."""
        return resize_kernel(weight, self.patch_embed.projection.kernel_size)

    def fit_positions(self,
                      pos_embed: Tensor,
                      img_size: int | tuple[int, int] | None = None
                      ) -> Tensor:
        """Resize the position embeddings of a checkpoint to this model's grid.

        Uses the interpolation that :meth:`forward` applies to images of other
        sizes.

        Args:
            pos_embed: (1, extra + N, C).
            img_size: Image size (H, W) in pixels of the checkpoint's model.
                None assumes this model's grid if N is equal, otherwise a
                square grid.

        Returns:
            (1, extra + N', C).

        Raises:
            CheckpointError: N does not match the grid of ``img_size``.
        """
        if pos_embed.ndim != 3 or (img_size is None and pos_embed.shape[1] ==
                                   self.pos_embed.shape[1]):
            return pos_embed
        count = pos_embed.shape[1] - self.num_extra_tokens
        if img_size is None:
            source = (math.isqrt(max(count, 0)), ) * 2
        else:
            patch = self.patch_embed.projection.stride
            source = tuple(
                s // p for s, p in zip(to_2tuple(img_size), patch))
        if source[0] * source[1] != count:
            raise CheckpointError(
                f'the checkpoint has position embeddings for {count} patches, '
                'which do not form a '
                + ('square grid: set init_cfg.img_size=(H, W) to the size it '
                   'was trained with.' if img_size is None else
                   f'grid of {source}: check init_cfg.img_size={img_size}.'))
        return interpolate_positions(pos_embed, source,
                                     self.patch_resolution,
                                     self.num_extra_tokens,
                                     *self.interpolation)

    def _prepare_pos_embed(self, state_dict: dict[str, Tensor], prefix: str,
                           *args, **kwargs) -> None:
        """Resize position embeddings on load (pre-hook of the base class)."""
        name = f'{prefix}pos_embed'
        if name in state_dict:
            state_dict[name] = self.fit_positions(state_dict[name])

    def _drop_absent_norm(self, state_dict: dict[str, Tensor], prefix: str,
                          *args, **kwargs) -> None:
        """Drop the final norm on load if this model has none (pre-hook)."""
        if not self.final_norm:
            for name in ('weight', 'bias'):
                state_dict.pop(f'{prefix}ln1.{name}', None)

    def _embed(self, x: Tensor, mask: Tensor | None
               ) -> tuple[Tensor, tuple[int, int]]:
        """Embed images; returns tokens (B, 1 + R + N, C) and the grid."""
        if x.shape[1] != self.patch_embed.projection.in_channels:
            raise ValueError(
                f'IBOTViT: the images have {x.shape[1]} channels, but '
                'backbone.in_channels is '
                f'{self.patch_embed.projection.in_channels}.')
        x, grid = self.patch_embed(x)
        if mask is not None:
            if self.mask_token is None:
                raise ValueError(
                    'IBOTViT got a mask but has no mask token: build it with '
                    'with_mask_token=True.')
            x = torch.where(
                mask.flatten(1).unsqueeze(-1), self.mask_token.to(x.dtype), x)
        if self.cls_token is not None:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], dim=1)
        x = x + interpolate_positions(
            self.pos_embed, self.patch_resolution, grid,
            self.num_extra_tokens, *self.interpolation)
        if self.register_tokens is not None:
            cls, patches = x.split_with_sizes(
                [self.num_extra_tokens, x.shape[1] - self.num_extra_tokens], 1)
            x = torch.cat([cls, self.register_tokens.expand(len(x), -1, -1),
                           patches], dim=1)
        return self.pre_norm(self.drop_after_pos(x)), grid

    def _run_layers(self, x: Tensor, cls_only: bool = False
                    ) -> Iterator[Tensor]:
        """Tokens after each layer; after the last, maybe the first alone."""
        scales = repeat(None)
        if self.training and self.keep_rates is not None:
            scales = (None, *drop_path_scales(self.keep_rates, len(x)))
        for i, (layer, scale) in enumerate(zip(self.layers, scales)):
            x = layer(x, scale if layer.training else None,
                      cls_only and i == self.num_layers - 1)
            yield x

    @property
    def blocks(self) -> Sequence[nn.Module]:
        """The transformer layers."""
        return self.layers

    @property
    def block_widths(self) -> list[int]:
        """Token width after each block."""
        return [self.embed_dims] * self.num_layers

    def extract_tokens(self, x: Tensor, mask: Tensor | None = None
                       ) -> tuple[Tensor, Tensor]:
        """CLS and patch tokens after the final norm, if there is one.

        Args:
            x: Images, (B, C_in, H, W).
            mask: Patches to replace with the mask token, bool (B, h, w).

        Returns:
            CLS tokens (B, C) and patch tokens (B, h * w, C).
        """
        x, _ = self._embed(x, mask)
        for x in self._run_layers(x):
            pass
        if self.final_norm:
            x = self.ln1(x)
        return x[:, 0], x[:, self.num_prefix_tokens:]

    def extract_cls(self, x: Tensor) -> Tensor:
        """CLS tokens after the final norm, without the patch tokens.

        The values are those of :meth:`extract_tokens`, but the MLP of the
        last layer and the final norm run on the CLS tokens only.

        Args:
            x: Images, (B, C_in, H, W).

        Returns:
            (B, C).
        """
        x, _ = self._embed(x, None)
        for x in self._run_layers(x, cls_only=True):
            pass
        return (self.ln1(x) if self.final_norm else x)[:, 0]

    def extract_last_blocks(self, x: Tensor, num_blocks: int
                            ) -> list[tuple[Tensor, Tensor]]:
        """Tokens of the last blocks, each after the final norm.

        Args:
            x: Images, (B, C_in, H, W).
            num_blocks: Number of blocks.

        Returns:
            CLS (B, C) and patch tokens (B, h * w, C) per block, in order.
        """
        outs = []
        for i, x in enumerate(self._run_layers(self._embed(x, None)[0])):
            if i >= len(self.layers) - num_blocks:
                tokens = self.ln1(x) if self.final_norm else x
                outs.append((tokens[:, 0], tokens[:, self.num_prefix_tokens:]))
        return outs

    def last_attention(self, x: Tensor,
                       num_queries: int | None = None) -> Tensor:
        """Attention of the last layer, after the softmax.

        Args:
            x: Images, (B, C_in, H, W).
            num_queries: Number Q of leading tokens whose attention is wanted,
                1 for that of the CLS token; None for all T.

        Returns:
            (B, heads, Q, T), from queries in the last dimension but one to
            keys in the last, for the T tokens: CLS, registers, patches.
        """
        x, _ = self._embed(x, None)
        for x in islice(self._run_layers(x), self.num_layers - 1):
            pass
        last = self.layers[-1]
        return last.attn.weights(last.ln1(x), num_queries)

    def extract_attended(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Patch tokens before the final norm, and who attends to them.

        Args:
            x: Images, (B, C_in, H, W).

        Returns:
            Patch tokens of the last layer (B, N, C), and the attention of the
            CLS token to them in that layer, (B, heads, N).
        """
        x, _ = self._embed(x, None)
        for x in islice(self._run_layers(x), self.num_layers - 1):
            pass
        last, first = self.layers[-1], self.num_prefix_tokens
        attention = last.attn.weights(last.ln1(x), 1)
        return last(x)[:, first:], attention[:, :, 0, first:]

    def forward(self, x: Tensor, mask: Tensor | None = None
                ) -> tuple[Tensor, ...]:
        """Outputs of the layers in ``out_indices``, formatted by ``out_type``.

        Args:
            x: Images, (B, C_in, H, W).
            mask: Patches to replace with the mask token, bool (B, h, w).

        Returns:
            One tensor per entry of ``out_indices``; feature maps are
            contiguous, (B, C, ceil(H / p), ceil(W / p)) for patches of size p.
        """
        x, grid = self._embed(x, mask)
        outs = []
        for i, x in enumerate(self._run_layers(x)):
            if i in self.output_norms:
                out = self.ln1(x) if self.output_norms[i] else x
                outs.append(self._format_output(out, grid).contiguous())
        return tuple(outs)

    def _format_output(self, x: Tensor, hw: tuple[int, int]) -> Tensor:
        if self.register_tokens is not None:
            x = torch.cat([x[:, :self.num_extra_tokens],
                           x[:, self.num_prefix_tokens:]], dim=1)
        return super()._format_output(x, hw)

    def get_layer_depth(self, param_name: str, prefix: str = ''
                        ) -> tuple[int, int]:
        """Layer of a parameter for layer decay, and the number of layers.

        Register tokens are in layer 0, as in DINOv2, with the patch embedding,
        the CLS token and the positions. The mask token, which weights to start
        from lack, is new and learns like the heads.
        """
        layer, count = super().get_layer_depth(param_name, prefix)
        if param_name == f'{prefix}register_tokens':
            layer = 0
        return layer, count

    def train(self, mode: bool = True) -> 'IBOTViT':
        """Set the mode of all parts that are not frozen."""
        super().train(mode)
        self._freeze_stages()
        return self
