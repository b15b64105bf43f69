"""Weights of the official code in our names and layouts, and back.

Only Swin's patch merging differs in layout: the official code concatenates
the four neighbors, MMPretrain unfolds them, so columns are permuted.
"""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from ibot_mm.checkpoints.load import CheckpointError

# Beginnings of names, official and ours; # stands for a number. Those of
# LayerScale and SwiGLU are DINOv2's; the last two are the official code's for
# LayerScale, which no published network has.
_VIT = (
    ('masked_embed', 'mask_token'),
    ('patch_embed.proj.', 'patch_embed.projection.'),
    ('blocks.#.norm1.', 'layers.#.ln1.'),
    ('blocks.#.norm2.', 'layers.#.ln2.'),
    ('blocks.#.ls1.gamma', 'layers.#.attn.gamma1.weight'),
    ('blocks.#.ls2.gamma', 'layers.#.ffn.gamma2.weight'),
    ('blocks.#.attn.', 'layers.#.attn.'),
    ('blocks.#.mlp.w12.', 'layers.#.ffn.w12.'),
    ('blocks.#.mlp.w3.', 'layers.#.ffn.w3.'),
    ('blocks.#.mlp.fc1.', 'layers.#.ffn.layers.0.0.'),
    ('blocks.#.mlp.fc2.', 'layers.#.ffn.layers.1.'),
    ('norm.', 'ln1.'),
    ('blocks.#.gamma_1', 'layers.#.attn.gamma1.weight'),
    ('blocks.#.gamma_2', 'layers.#.ffn.gamma2.weight'),
)
# DINOv2's training checkpoints: blocks of all chunks are numbered through.
_CHUNK = re.compile(r'(?<=^blocks\.)\d+\.(?=\d+\.)')
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
    """Permute the four neighbors of patch merging in the last dimension."""
    # Official: neighbors (0,0), (1,0), (0,1), (1,1), each with C channels.
    # MMPretrain (unfold): C channels, each (0,0), (0,1), (1,0), (1,1).
    value = value.unflatten(-1, (4, -1))[..., [0, 2, 1, 3], :]
    return value.transpose(-1, -2).flatten(-2)


def _official_merging_order(value: Tensor) -> Tensor:
    """Inverse of :func:`_merging_order`."""
    value = value.unflatten(-1, (-1, 4)).transpose(-1, -2)
    return value[..., [0, 2, 1, 3], :].flatten(-2)


def _is_swin(state: dict[str, Tensor]) -> bool:
    return any('relative_position_bias_table' in name for name in state)


def _rename(name: str, table: Sequence[tuple[str, str]], back: bool) -> str:
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


def _in_official_order(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Sort the entries, in official names, as the official modules do."""
    places: dict[str, int] = {}
    keys = {}
    for place, name in enumerate(state):
        match = _REORDERED.match(name)
        place = places.setdefault(match.group(), place) if match else place
        keys[name] = (place, not name.endswith(_FIRST))
    return {name: state[name] for name in sorted(state, key=keys.get)}


def from_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Backbone or head weights of the official code in our names.

    Also those of DINO, DINOv2 and timm.

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
        name = _CHUNK.sub('', name)
        name = _rename(name, _SWIN if swin else _VIT, back=False)
        converted[name] = value.unsqueeze(0) if name == 'mask_token' else value
    return converted


def to_official(state: dict[str, Tensor]) -> dict[str, Tensor]:
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


State = dict[str, Tensor]


def strip_prefix(state: State, prefix: str) -> State:
    """Entries below a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }


def add_prefix(state: State, prefix: str) -> State:
    """All entries, with a prefix."""
    return {prefix + name: value for name, value in state.items()}


def official_network(state: State) -> State:
    """Student or teacher of an official file without duplicates.

    Args:
        state: ``backbone.*`` and ``head.*``, with ``module.`` before them or
            without.

    Returns:
        The backbone, then the head; the prototypes of a shared head, which
        files hold under two names, once.
    """
    if all(name.startswith('module.') for name in state):
        state = strip_prefix(state, 'module.')
    head = strip_prefix(state, 'head.')
    shared = all(
        torch.equal(head[f'last_layer.{part}'], head[f'last_layer2.{part}'])
        for part in ('weight_g', 'weight_v')
        if f'last_layer2.{part}' in head and f'last_layer.{part}' in head)
    if shared:
        head = {k: v for k, v in head.items() if 'last_layer2.' not in k}
    return {
        **add_prefix(strip_prefix(state, 'backbone.'), 'backbone.'),
        **add_prefix(head, 'head.')
    }


def network_from_official(state: State) -> State:
    """Output of :func:`official_network` as ``backbone.*`` and ``neck.*``."""
    backbone = from_official(strip_prefix(state, 'backbone.'))
    neck = from_official(strip_prefix(state, 'head.'))
    return {**add_prefix(backbone, 'backbone.'), **add_prefix(neck, 'neck.')}


def network_to_official(state: State) -> State:
    """``backbone.*`` and ``neck.*`` as official ``backbone.*``, ``head.*``."""
    backbone = to_official(strip_prefix(state, 'backbone.'))
    head = to_official(strip_prefix(state, 'neck.'))
    return {**add_prefix(backbone, 'backbone.'), **add_prefix(head, 'head.')}


def from_official_checkpoint(checkpoint: dict[str, Any],
                             networks: Sequence[str] = ('student', 'teacher')
                             ) -> State:
    """Weights of ``IBOT`` (or of its backbone) from an official checkpoint.

    Args:
        checkpoint: A full one with ``student`` and ``teacher``, or the
            official backbone-only ones: ``state_dict``, or flat.
        networks: Which of both to take from a full one.

    Returns:
        From a full one ``backbone.*``, ``neck.*`` (student),
        ``teacher.backbone.*``, ``teacher.neck.*`` and ``head.*`` (centers);
        from the others ``backbone.*``.

    Raises:
        CheckpointError: It is of neither kind.
    """
    if not {'student', 'teacher'} & set(checkpoint):
        state = checkpoint.get('state_dict', checkpoint)
        if 'patch_embed.proj.weight' not in state:
            raise CheckpointError(
                'this is no official iBOT checkpoint: neither "student" and '
                '"teacher" nor a backbone with "patch_embed.proj.weight"; it '
                f'holds {", ".join(map(str, list(checkpoint)[:5]))} ...')
        return add_prefix(from_official(state), 'backbone.')
    missing = [network for network in networks if network not in checkpoint]
    if missing:
        raise CheckpointError(f'the checkpoint has no "{missing[0]}".')
    result: State = {}
    for network in networks:
        prefix = '' if network == 'student' else 'teacher.'
        state = official_network(checkpoint[network])
        result.update(add_prefix(network_from_official(state), prefix))
    centers = checkpoint.get('ibot_loss', {})
    for theirs, ours in (('center', 'center'), ('center2', 'patch_center')):
        if theirs in centers:
            result[f'head.{ours}.value'] = centers[theirs].flatten()
    return result


def to_official_checkpoint(state: State) -> dict[str, Any]:
    """The inverse of :func:`from_official_checkpoint` for a complete ``IBOT``.

    Args:
        state: State dict of ``IBOT``.

    Raises:
        CheckpointError: There is no student or no teacher in it, or something
            that the official networks have not.
    """
    for name in state:
        if name.endswith(('register_tokens', 'gamma1.weight', '.w12.weight')):
            raise CheckpointError(
                f'the official code has no place for "{name}": convert the '
                'backbone with mm_to_timm.py or extract_backbone.py instead.')
    result: dict[str, Any] = {}
    for network, prefix, module in (('student', '', 'module.'),
                                    ('teacher', 'teacher.', '')):
        weights = strip_prefix(state, prefix)
        if not strip_prefix(weights, 'backbone.'):
            raise CheckpointError(f'the checkpoint has no {network}: nothing '
                                  f'starts with "{prefix}backbone.".')
        result[network] = add_prefix(network_to_official(weights), module)
    if 'head.center.value' in state:
        result['ibot_loss'] = dict(
            center=state['head.center.value'].view(1, -1),
            center2=state['head.patch_center.value'].view(1, 1, -1))
    return result
