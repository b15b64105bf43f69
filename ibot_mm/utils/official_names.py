"""Names and layouts of the official code's parameters, in ours.

Only Swin's patch merging differs in layout: the official code concatenates
the four neighbours, the host unfolds them, so columns are permuted.
"""

import re
from typing import Dict, Sequence, Tuple

from torch import Tensor

# Beginnings of names, official and ours; # stands for a number.
_VIT = (
    ('masked_embed', 'mask_token'),
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('blocks.#.norm1.', 'layers.#.ln1.'),
    ('blocks.#.norm2.', 'layers.#.ln2.'),
    ('blocks.#.attn.', 'layers.#.attn.'),
    ('blocks.#.mlp.fc1.', 'layers.#.ffn.layers.0.0.'),
    ('blocks.#.mlp.fc2.', 'layers.#.ffn.layers.1.'),
    ('norm.', 'ln1.'),
)
_SWIN = (
    ('masked_embed', 'mask_token'),
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('layers.#.blocks.#.attn.', 'stages.#.blocks.#.attn.w_msa.'),
    ('layers.#.blocks.#.mlp.fc1.', 'stages.#.blocks.#.ffn.layers.0.0.'),
    ('layers.#.blocks.#.mlp.fc2.', 'stages.#.blocks.#.ffn.layers.1.'),
    ('layers.#.', 'stages.#.'),
    ('norm.', 'norm3.'),
)
# Modules whose parameters the official code registers in another order than
# we do, and those that it has first.
_REORDERED = re.compile(r'.*\.downsample(?=\.)|last_layer2?(?=\.)')
_FIRST = ('reduction.weight', 'weight_g')


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


def _rename(name: str, table: Sequence[Tuple[str, str]], back: bool) -> str:
    """Replace the beginning of a name; ``back`` reads the table from ours."""
    for pair in table:
        source, target = reversed(pair) if back else pair
        pattern = r'(\d+)'.join(map(re.escape, source.split('#')))
        match = re.match(pattern, name)
        if match:
            for number in match.groups():
                target = target.replace('#', number, 1)
            return target + name[match.end():]
    return name


def _in_official_order(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Sort the entries, in official names, as the official modules do."""
    places: Dict[str, int] = {}
    keys = {}
    for place, name in enumerate(state):
        match = _REORDERED.match(name)
        place = places.setdefault(match.group(), place) if match else place
        keys[name] = (place, not name.endswith(_FIRST))
    return {name: state[name] for name in sorted(state, key=keys.get)}


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
        name = _rename(name, _SWIN if swin else _VIT, back=False)
        converted[name] = value.unsqueeze(0) if name == 'mask_token' else value
    return converted


def to_official(state: Dict[str, Tensor]) -> Dict[str, Tensor]:
    """Inverse of :func:`from_official`.

    Args:
        state: Weights of ``IBOTViT``, ``IBOTSwin`` or ``IBOTNeck``.

    Returns:
        The same weights in the official code's names and order. A shared
        head gets its prototypes under both names, as official files have
        them.
    """
    swin = _is_swin(state)
    converted = {}
    for name, value in state.items():
        if swin and '.downsample.' in name and value.shape[-1] % 4 == 0:
            value = _official_merging_order(value)
        if name == 'mask_token':
            value = value.squeeze(0)
        name = _rename(name, _SWIN if swin else _VIT, back=True)
        converted[name] = value
    if not any(name.startswith('last_layer2.') for name in state):
        converted.update({
            name.replace('last_layer.', 'last_layer2.'): value
            for name, value in state.items()
            if name.startswith('last_layer.')
        })
    return _in_official_order(converted)
