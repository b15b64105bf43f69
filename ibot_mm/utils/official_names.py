"""Names and layouts of the official code's parameters, in ours.

Only Swin's patch merging differs in layout: the official code concatenates
the four neighbours, the host unfolds them, so columns are permuted.
"""

import re
from typing import Dict

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


def _merging_order(value: Tensor) -> Tensor:
    """Permute the four neighbours of patch merging in the last dimension."""
    # Official: neighbours (0,0), (1,0), (0,1), (1,1), each with C channels.
    # Host (unfold): C channels, each with (0,0), (0,1), (1,0), (1,1).
    value = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return value.transpose(-1, -2).flatten(-2)


def from_official(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Backbone or head weights of the official code in our names.

    Args:
        state: Weights without a prefix such as ``backbone.``.

    Returns:
        The same weights for ``IBOTViT``, ``IBOTSwin`` or ``IBOTNeck``. Names
        that are equal in both (those of the head) stay.
    """
    swin = any('relative_position_bias_table' in name for name in state)
    converted = {}
    for name, value in state.items():
        if swin and '.downsample.' in name and value.shape[-1] % 4 == 0:
            value = _merging_order(value)
        for pattern, replacement in _SWIN if swin else _VIT:
            name, count = re.subn(pattern, replacement, name)
            if count:
                break
        if name == 'mask_token':
            value = value.unsqueeze(0)
        converted[name] = value
    return converted
