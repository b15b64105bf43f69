"""Checkpoints of the official code, taken apart and put together."""

from typing import Any, Dict, Sequence

import torch
from torch import Tensor

from .official_names import from_official, to_official
from .safe_load import CheckpointError

State = Dict[str, Tensor]


def strip(state: State, prefix: str) -> State:
    """Entries below a prefix, without it."""
    return {
        name[len(prefix):]: value
        for name, value in state.items() if name.startswith(prefix)
    }


def add_prefix(state: State, prefix: str) -> State:
    """All entries, with a prefix."""
    return {prefix + name: value for name, value in state.items()}


def official_side(state: State) -> State:
    """Student or teacher of an official file without what is there twice.

    Args:
        state: ``backbone.*`` and ``head.*``, with ``module.`` before them or
            without.

    Returns:
        The backbone, then the head; the prototypes of a shared head, which
        files hold under two names, once.
    """
    if all(name.startswith('module.') for name in state):
        state = strip(state, 'module.')
    head = strip(state, 'head.')
    shared = all(
        torch.equal(head[f'last_layer.{part}'], head[f'last_layer2.{part}'])
        for part in ('weight_g', 'weight_v')
        if f'last_layer2.{part}' in head and f'last_layer.{part}' in head)
    if shared:
        head = {k: v for k, v in head.items() if 'last_layer2.' not in k}
    return {
        **add_prefix(strip(state, 'backbone.'), 'backbone.'),
        **add_prefix(head, 'head.')
    }


def side_from_official(side: State) -> State:
    """What :func:`official_side` gave, as ``backbone.*`` and ``neck.*``."""
    return {
        **add_prefix(from_official(strip(side, 'backbone.')), 'backbone.'),
        **add_prefix(from_official(strip(side, 'head.')), 'neck.')
    }


def side_to_official(side: State) -> State:
    """``backbone.*`` and ``neck.*`` as official ``backbone.*``, ``head.*``."""
    return {
        **add_prefix(to_official(strip(side, 'backbone.')), 'backbone.'),
        **add_prefix(to_official(strip(side, 'neck.')), 'head.')
    }


def from_official_checkpoint(checkpoint: Dict[str, Any],
                             sides: Sequence[str] = ('student', 'teacher')
                             ) -> State:
    """Weights of ``IBOT`` (or of its backbone) from an official checkpoint.

    Args:
        checkpoint: A full one with ``student`` and ``teacher``, or the
            release's backbone-only ones: ``state_dict``, or flat.
        sides: Which of both to take from a full one.

    Returns:
        From a full one ``backbone.*``, ``neck.*`` (student),
        ``teacher.backbone.*``, ``teacher.neck.*`` and ``head.*`` (centres);
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
    missing = [side for side in sides if side not in checkpoint]
    if missing:
        raise CheckpointError(f'the checkpoint has no "{missing[0]}".')
    result: State = {}
    for side in sides:
        prefix = '' if side == 'student' else 'teacher.'
        result.update(
            add_prefix(side_from_official(official_side(checkpoint[side])),
                       prefix))
    centers = checkpoint.get('ibot_loss', {})
    for theirs, ours in (('center', 'center'), ('center2', 'patch_center')):
        if theirs in centers:
            result[f'head.{ours}'] = centers[theirs].flatten()
    return result


def to_official_checkpoint(state: State) -> Dict[str, Any]:
    """The inverse of :func:`from_official_checkpoint` for a whole ``IBOT``.

    Args:
        state: State dict of ``IBOT``.

    Raises:
        CheckpointError: There is no student or no teacher in it.
    """
    result: Dict[str, Any] = {}
    for side, prefix, module in (('student', '', 'module.'),
                                 ('teacher', 'teacher.', '')):
        weights = strip(state, prefix)
        if not strip(weights, 'backbone.'):
            raise CheckpointError(f'the checkpoint has no {side}: nothing '
                                  f'starts with "{prefix}backbone.".')
        result[side] = add_prefix(side_to_official(weights), module)
    if 'head.center' in state:
        result['ibot_loss'] = dict(
            center=state['head.center'].view(1, -1),
            center2=state['head.patch_center'].view(1, 1, -1))
    return result
