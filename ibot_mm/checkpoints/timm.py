"""Weights of a ViT in the names of timm's ``VisionTransformer``.

They are those of the official code, and DINO's, too.
"""

import re

from torch import Tensor

from ibot_mm.checkpoints.official.state_dict import to_official

from .load import CheckpointError

_NAMES = re.compile(
    r'cls_token|pos_embed|patch_embed\.proj\.(weight|bias)|'
    r'(norm|blocks\.\d+\.(norm[12]|attn\.(qkv|proj)|mlp\.fc[12]))'
    r'\.(weight|bias)')


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
