"""The architecture of backbone and projection head, from their weights."""

import math
import re
from typing import Any

from torch import Tensor

from .load import CheckpointError
from .strict import KERNEL

# Number of heads of the published ViTs, by width and depth: tiny, small, base
# (and MMPretrain's own small), large, huge, EVA's and DINOv2's giant. Weights
# do not show it.
NUM_HEADS = {
    (192, 12): 3,
    (384, 12): 6,
    (768, 8): 8,
    (768, 12): 12,
    (1024, 24): 16,
    (1280, 32): 16,
    (1408, 40): 16,
    (1536, 40): 24,
}


def backbone_config(state: dict[str, Tensor],
                    num_heads: int | None = None,
                    img_size: int | tuple[int, int] | None = None,
                    **settings: Any) -> dict[str, Any]:
    """Config of the ``IBOTViT`` or ``IBOTSwin`` that has these weights.

    Args:
        state: Weights of a backbone in our names, without a prefix.
        num_heads: Number of heads of a ViT; None for that of the published
            network of this width and depth.
        img_size: Image size (H, W) in pixels of the config; None for that of
            the position embeddings, if they form a square, or of the windows.
        **settings: Further arguments of the backbone, which replace those
            that the weights show.

    Returns:
        A config for ``MODELS.build``. A model that is built from it loads the
        weights strictly.

    Raises:
        CheckpointError: These are no weights of a backbone, or they do not
            show the number of heads or the image size.
    """
    if KERNEL not in state:
        raise CheckpointError(f'the weights have no "{KERNEL}": they are not '
                              'those of a ViT or a Swin transformer.')
    patch = state[KERNEL].shape[-1]
    config = dict(patch_size=patch, in_channels=state[KERNEL].shape[1])
    if 'mask_token' in state:
        config['with_mask_token'] = True
    if any('relative_position_bias_table' in name for name in state):
        config.update(_swin(state, patch, img_size))
    else:
        config.update(_vit(state, patch, num_heads, img_size))
    return {**config, **settings}


def _vit(state: dict[str, Tensor], patch: int, num_heads: int | None,
         img_size: int | tuple[int, int] | None) -> dict[str, Any]:
    width = len(state[KERNEL])
    depth = sum(name.endswith('.attn.qkv.weight') for name in state)
    num_heads = num_heads or NUM_HEADS.get((width, depth))
    if num_heads is None:
        raise CheckpointError(
            f'no published ViT has width {width} and depth {depth}, so the '
            'number of heads is not known: set num_heads.')
    config = dict(type='ibot_mm.IBOTViT')
    if 'layers.0.ffn.w12.weight' in state:  # SwiGLU
        # MMPretrain's layer has 2/3 of the channels that it is given.
        channels = state['layers.0.ffn.w3.weight'].shape[1] * 3 // 2
        config['layer_cfgs'] = dict(ffn_type='swiglu_fused')
    else:
        channels = len(state['layers.0.ffn.layers.0.0.weight'])
    config['arch'] = dict(embed_dims=width, num_layers=depth,
                          num_heads=num_heads, feedforward_channels=channels)
    if 'layers.0.attn.gamma1.weight' in state:
        config['layer_scale_init_value'] = 1e-5  # the weights replace it
    if 'register_tokens' in state:
        config['num_register_tokens'] = state['register_tokens'].shape[1]
    if 'layers.0.attn.qkv.bias' not in state:
        config['qkv_bias'] = False
    if 'ln1.weight' not in state:
        config['final_norm'] = False
    patches = state['pos_embed'].shape[1] - 1
    side = math.isqrt(patches)
    if img_size is None and side**2 != patches:
        raise CheckpointError(
            f'the position embeddings are for {patches} patches, which do not '
            'form a square: set img_size to the (H, W) in pixels that they '
            'are for.')
    return dict(config, img_size=img_size or side * patch)


def _swin(state: dict[str, Tensor], patch: int,
          img_size: int | tuple[int, int] | None) -> dict[str, Any]:
    tables: list[list[Tensor]] = []  # by stage and block
    for name, value in state.items():
        match = re.fullmatch(r'stages\.(\d+)\..*relative_position_bias_table',
                             name)
        if match:
            stage = int(match[1])
            tables += [[] for _ in range(stage + 1 - len(tables))]
            tables[stage].append(value)
    windows = [(math.isqrt(len(table[0])) + 1) // 2 for table in tables]
    if img_size is None:
        # A stage whose map is smaller than the window has one of its size, so
        # the last stage, whose map is the smallest, shows the map's size.
        scale = 2**(len(tables) - 1)
        side = next((side for side in range(windows[-1] * scale,
                                            (windows[-1] + 1) * scale)
                     if all(min(side // 2**i, windows[0]) == window
                            for i, window in enumerate(windows))), None)
        if side is None:
            raise CheckpointError(
                f'windows of {windows} do not show the image size of this '
                'Swin transformer: set img_size.')
        img_size = side * patch
    return dict(
        type='ibot_mm.IBOTSwin',
        arch=dict(
            embed_dims=len(state[KERNEL]),
            depths=[len(table) for table in tables],
            num_heads=[table[0].shape[1] for table in tables]),
        window_size=windows[0],
        img_size=img_size,
        out_indices=[i for i in range(len(tables))
                     if f'norm{i}.weight' in state])


def neck_config(state: dict[str, Tensor], **settings: Any) -> dict[str, Any]:
    """Config of the ``IBOTNeck`` that has these weights.

    Args:
        state: Weights of a projection head in our names, without a prefix.
        **settings: Further arguments of the neck, which weights do not show:
            ``act_cfg``.

    Returns:
        A config for ``MODELS.build``. A model that is built from it loads the
        weights strictly.
    """
    linear = [value for name, value in state.items()
              if name.startswith('mlp.') and value.ndim == 2]
    config = dict(
        type='ibot_mm.IBOTNeck',
        in_channels=linear[0].shape[1],
        hidden_channels=len(linear[0]),
        bottleneck_channels=len(linear[-1]),
        num_layers=len(linear),
        num_prototypes=len(state['last_layer.weight_v']))
    if 'last_layer2.weight_v' in state:
        config.update(
            shared_head=False,
            num_patch_prototypes=len(state['last_layer2.weight_v']))
    # A norm follows the first linear layer.
    if 'mlp.1.running_mean' in state:
        config['norm_cfg'] = dict(type='BN1d')
    elif 'mlp.1.weight' in state and state['mlp.1.weight'].ndim == 1:
        config['norm_cfg'] = dict(type='LN')
    return {**config, **settings}
