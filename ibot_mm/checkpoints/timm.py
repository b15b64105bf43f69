"""Weights of a ViT in the names of timm's ``VisionTransformer``.

They are those of the official code, and of DINO and DINOv2, too. timm has
other ones for register tokens, and with them no position for the CLS token.
"""

import math
import re
from typing import Any

import torch
from torch import Tensor

from ibot_mm.checkpoints.official.state_dict import from_official, to_official

from .load import CheckpointError

_NAMES = re.compile(
    r'cls_token|reg_token|pos_embed|patch_embed\.proj\.(weight|bias)|'
    r'blocks\.\d+\.ls[12]\.gamma|'
    r'(norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))'
    r'\.(weight|bias)')

# Width, depth and number of heads -> name in timm and its patch size.
_NETWORKS = {
    (192, 12, 3): ('vit_tiny_patch16_224', 16),
    (384, 12, 6): ('vit_small_patch16_224', 16),
    (768, 12, 12): ('vit_base_patch16_224', 16),
    (1024, 24, 16): ('vit_large_patch16_224', 16),
    (1280, 32, 16): ('vit_huge_patch14_224', 14),
}


def from_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of timm's ``VisionTransformer`` for ``IBOTViT``.

    Args:
        state: They may be those of DINO, DINOv2 and the official code, too.
            A classifier (``head.*``) is left out. ``reg_token`` may have
            positions, as the CLS token; otherwise neither has
            (``no_embed_class``).

    Returns:
        The same weights in our names, which give the same features.

    Raises:
        CheckpointError: There are no position embeddings.
    """
    if not any(name == 'pos_embed' or 'relative_position' in name
               for name in state):
        raise CheckpointError(
            'the checkpoint has no "pos_embed": networks with rotary '
            'positions, such as those of DINOv3, cannot be loaded.')
    state = {name: value for name, value in state.items()
             if not name.startswith('head.')}
    if 'reg_token' in state:
        registers = state.pop('reg_token')
        positions = state['pos_embed']
        count = registers.shape[1]
        patches = positions.shape[1] - 1 - count
        if math.isqrt(max(patches, 0))**2 == patches:
            cls, own, positions = positions.split([1, count, patches], dim=1)
            registers = registers + own
        else:
            cls = torch.zeros_like(positions[:, :1])
        state['register_tokens'] = registers
        state['pos_embed'] = torch.cat([cls, positions], dim=1)
    return from_official(state)


def to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ``IBOTViT`` for a plain ``VisionTransformer`` of timm.

    Args:
        state: Weights of the backbone, without a prefix and a mask token.

    Returns:
        The same weights: ``cls_token``, ``pos_embed``, ``patch_embed.proj.*``,
        ``blocks.N.*``, ``norm.*``. With register tokens also ``reg_token``,
        and the position of the CLS token is added to ``cls_token``
        (``no_embed_class``).

    Raises:
        CheckpointError: They are those of a Swin transformer, or of a ViT
            with something that timm's lacks.
    """
    if any('relative_position_bias_table' in name for name in state):
        raise CheckpointError(
            'the backbone is a Swin transformer: only those of ViTs can be '
            "converted to timm's names, use extract_backbone.py instead.")
    converted = to_official(state)
    if 'register_tokens' in converted:
        cls, patch = converted['pos_embed'].tensor_split([1], dim=1)
        converted.update(
            reg_token=converted.pop('register_tokens'),
            cls_token=converted['cls_token'] + cls,
            pos_embed=patch.contiguous())
    unknown = [name for name in converted if not _NAMES.fullmatch(name)]
    if unknown:
        raise CheckpointError(
            "timm's VisionTransformer has no place for "
            f'{", ".join(unknown[:3])}: only plain ViTs can be converted, use '
            'extract_backbone.py instead.')
    return converted


def create_model_call(backbone: dict[str, Any], path: str,
                      **options: Any) -> str:
    """The call of ``timm.create_model`` that loads a file of weights.

    Args:
        backbone: Config of the network, from
            :func:`~.architecture.backbone_config`.
        path: The file, with the output of :func:`to_timm`.
        **options: Further arguments of ``timm.create_model``.
    """
    arch, size = backbone['arch'], backbone['img_size']
    width, depth = arch['embed_dims'], arch['num_layers']
    heads = arch['num_heads']
    published = _NETWORKS.get((width, depth, heads))
    name, patch = published or ('vit_tiny_patch16_224', 16)
    if not isinstance(size, int):
        size = size[0] if size[0] == size[1] else tuple(size)
    settings = dict(
        img_size=(size, 224),
        patch_size=(backbone['patch_size'], patch),
        in_chans=(backbone['in_channels'], 3),
        mlp_ratio=(arch['feedforward_channels'] / width, 4),
        qkv_bias=(backbone.get('qkv_bias', True), True),
        init_values=(backbone.get('layer_scale_init_value'), None),
        reg_tokens=(backbone.get('num_register_tokens', 0), 0),
        no_embed_class=('num_register_tokens' in backbone, False))
    if not published:
        settings.update(embed_dim=(width, None), depth=(depth, None),
                        num_heads=(heads, None))
    arguments = {key: value for key, (value, usual) in settings.items()
                 if value != usual}
    arguments.update(num_classes=0, checkpoint_path=path, **options)
    return f'timm.create_model({name!r}, ' + ', '.join(
        f'{key}={value!r}' for key, value in arguments.items()) + ')'
