"""Names and layouts of the official code's parameters, in ours.

Only Swin's patch merging differs in layout: the official code concatenates
the four neighbours, the host unfolds them, so columns are permuted.
"""

import re
from typing import Dict, Sequence, Tuple

from torch import Tensor

_VIT = (
    (r'^masked_embed$', 'mask_token'),
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^blocks\.(\d+)\.norm1\.', r'layers.\1.ln1.'),
    (r'^blocks\.(\d+)\.norm2\.', r'layers.\1.ln2.'),
    (r'^blocks\.(\d+)\.attn\.', r'layers.\1.attn.'),
    (r'^blocks\.(\d+)\.mlp\.fc1\.', r'layers.\1.ffn.layers.0.0.'),
    (r'^blocks\.(\d+)\.mlp\.fc2\.', r'layers.\1.ffn.layers.1.'),
    (r'^norm\.', 'ln1.'),
)
_SWIN = (
    (r'^masked_embed$', 'mask_token'),
    (r'^patch_embed\.proj\.', 'patch_embed.projection.'),
    (r'^layers\.(\d+)\.blocks\.(\d+)\.attn\.',
     r'stages.\1.blocks.\2.attn.w_msa.'),
    (r'^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc1\.',
     r'stages.\1.blocks.\2.ffn.layers.0.0.'),
    (r'^layers\.(\d+)\.blocks\.(\d+)\.mlp\.fc2\.',
     r'stages.\1.blocks.\2.ffn.layers.1.'),
    (r'^layers\.(\d+)\.', r'stages.\1.'),
    (r'^norm\.', 'norm3.'),
)
_VIT_BACK = (
    (r'^mask_token$', 'masked_embed'),
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^layers\.(\d+)\.ln1\.', r'blocks.\1.norm1.'),
    (r'^layers\.(\d+)\.ln2\.', r'blocks.\1.norm2.'),
    (r'^layers\.(\d+)\.attn\.', r'blocks.\1.attn.'),
    (r'^layers\.(\d+)\.ffn\.layers\.0\.0\.', r'blocks.\1.mlp.fc1.'),
    (r'^layers\.(\d+)\.ffn\.layers\.1\.', r'blocks.\1.mlp.fc2.'),
    (r'^ln1\.', 'norm.'),
)
_SWIN_BACK = (
    (r'^mask_token$', 'masked_embed'),
    (r'^patch_embed\.projection\.', 'patch_embed.proj.'),
    (r'^stages\.(\d+)\.blocks\.(\d+)\.attn\.w_msa\.',
     r'layers.\1.blocks.\2.attn.'),
    (r'^stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.0\.0\.',
     r'layers.\1.blocks.\2.mlp.fc1.'),
    (r'^stages\.(\d+)\.blocks\.(\d+)\.ffn\.layers\.1\.',
     r'layers.\1.blocks.\2.mlp.fc2.'),
    (r'^stages\.(\d+)\.', r'layers.\1.'),
    (r'^norm3\.', 'norm.'),
)


def _merging_order(value: Tensor) -> Tensor:
    """Permute the four neighbours of patch merging in the last dimension."""
    # Official: neighbours (0,0), (1,0), (0,1), (1,1), each with C channels.
    # Host (unfold): C channels, each with (0,0), (0,1), (1,0), (1,1).
    value = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return value.transpose(-1, -2).flatten(-2)


def _official_merging_order(value: Tensor) -> Tensor:
    """Inverse of :func:`_merging_order`."""
    value = value.unflatten(-1, (-1, 4)).transpose(-1, -2)
    return value[..., [0, 2, 1, 3], :].flatten(-2)


def _is_swin(state: Dict[str, Tensor]) -> bool:
    return any('relative_position_bias_table' in name for name in state)


def _rename(name: str, table: Sequence[Tuple[str, str]]) -> str:
    for pattern, replacement in table:
        new, count = re.subn(pattern, replacement, name)
        if count:
            return new
    return name


def from_official(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Backbone or head weights of the official code in our names.

    Args:
        state: Weights without a prefix such as ``backbone.``.

    Returns:
        The same weights for ``IBOTViT``, ``IBOTSwin`` or ``IBOTNeck``. Names
        that are equal in both (those of the head) stay.
    """
    swin = _is_swin(state)
    converted = {}
    for name, value in state.items():
        if swin and '.downsample.' in name and value.shape[-1] % 4 == 0:
            value = _merging_order(value)
        name = _rename(name, _SWIN if swin else _VIT)
        converted[name] = value.unsqueeze(0) if name == 'mask_token' else value
    return converted


def to_official(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Inverse of :func:`from_official`.

    Args:
        state: Weights of ``IBOTViT``, ``IBOTSwin`` or ``IBOTNeck``.

    Returns:
        The same weights in the official code's names. A shared head gets its
        prototypes under both names, as official files have them.
    """
    swin = _is_swin(state)
    converted = {}
    for name, value in state.items():
        if swin and '.downsample.' in name and value.shape[-1] % 4 == 0:
            value = _official_merging_order(value)
        if name == 'mask_token':
            value = value.squeeze(0)
        converted[_rename(name, _SWIN_BACK if swin else _VIT_BACK)] = value
    if not any(name.startswith('last_layer2.') for name in state):
        converted.update({
            name.replace('last_layer.', 'last_layer2.'): value
            for name, value in state.items()
            if name.startswith('last_layer.')
        })
    return converted
