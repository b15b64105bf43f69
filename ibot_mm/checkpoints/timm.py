"""Weights of a ViT in the names of timm's ``VisionTransformer``.

They are those of the official code, and DINO's, too.
"""

import math
import re
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ibot_mm.checkpoints.official.state_dict import to_official

from .load import CheckpointError

_NAMES = re.compile(
    r'cls_token|pos_embed|patch_embed\.proj\.(weight|bias)|'
    r'(norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))'
    r'\.(weight|bias)')

# Width and depth -> name in timm, patch size and number of heads.
_NETWORKS = {
    (192, 12): ('vit_tiny_patch16_224', 16, 3),
    (384, 12): ('vit_small_patch16_224', 16, 6),
    (768, 12): ('vit_base_patch16_224', 16, 12),
    (1024, 24): ('vit_large_patch16_224', 16, 16),
    (1280, 32): ('vit_huge_patch14_224', 14, 16),
}


def to_timm(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of ``IBOTViT`` for a plain ``VisionTransformer`` of timm.

    Args:
        state: Weights of the backbone, without a prefix and a mask token.

    Returns:
        The same weights: ``cls_token``, ``pos_embed``, ``patch_embed.proj.*``,
        ``blocks.N.*``, ``norm.*``.

    Raises:
        CheckpointError: They are those of a Swin transformer, or of a ViT
            with something that timm's has not.
    """
    if any('relative_position_bias_table' in name for name in state):
        raise CheckpointError(
            'the backbone is a Swin transformer: only those of ViTs can be '
            "converted to timm's names, use extract_backbone.py instead.")
    converted = to_official(state)
    unknown = [name for name in converted if not _NAMES.fullmatch(name)]
    if unknown:
        raise CheckpointError(
            "timm's VisionTransformer has no place for "
            f'{", ".join(unknown[:3])}: only plain ViTs can be converted, use '
            'extract_backbone.py instead.')
    return converted


def create_model_call(weights: dict[str, Tensor], path: str,
                      num_heads: int | None = None,
                      img_size: Sequence[int] | None = None,
                      **options: Any) -> str:
    """The call of ``timm.create_model`` that loads a file of weights.

    Args:
        weights: Output of :func:`to_timm`.
        path: The file.
        num_heads: Of the network; None for that of the published network of
            this width and depth.
        img_size: (H, W) in pixels; None for a square.
        **options: Further arguments of ``timm.create_model``.

    Raises:
        CheckpointError: The weights do not show one of both.
    """
    width, channels, patch, _ = weights['patch_embed.proj.weight'].shape
    depth = sum(name.endswith('.attn.qkv.weight') for name in weights)
    hidden = len(weights['blocks.0.mlp.fc1.weight'])
    name, usual_patch, usual_heads = _NETWORKS.get(
        (width, depth), ('vit_tiny_patch16_224', 16, None))
    patches = weights['pos_embed'].shape[1] - 1
    side = math.isqrt(patches)
    if img_size is None and side**2 == patches:
        img_size = (side * patch, side * patch)
    num_heads = num_heads or usual_heads
    if img_size is None or num_heads is None:
        missing = 'grid' if num_heads else 'number of heads'
        raise CheckpointError(
            f'the weights do not show the {missing} of this ViT (width '
            f'{width}, depth {depth}, {patches} patches): give --config.')
    height, length = img_size
    settings = dict(
        img_size=(height if height == length else (height, length), 224),
        patch_size=(patch, usual_patch),
        in_chans=(channels, 3),
        num_heads=(num_heads, usual_heads),
        mlp_ratio=(hidden / width, 4))
    if usual_heads is None:
        settings.update(embed_dim=(width, None), depth=(depth, None))
    arguments = {key: value for key, (value, usual) in settings.items()
                 if value != usual}
    arguments.update(num_classes=0, checkpoint_path=path, **options)
    return f'timm.create_model({name!r}, ' + ', '.join(
        f'{key}={value!r}' for key, value in arguments.items()) + ')'
