"""AdamW's state of the official code, in our parameters' names, and back.

PyTorch numbers the parameters of an optimizer. In official files group 0 has
the decayed ones and group 1 the others, each in the order of the student's
``named_parameters()``, which is that of its weights in the file. Ours has the
same two groups in another order, so the state is carried over by name.
"""

import re
from collections.abc import Callable, Collection, Sequence
from typing import Any

import torch

from ibot_mm.checkpoints.load import CheckpointError

from .state_dict import (
    State,
    network_from_official,
    network_to_official,
    official_network,
)

# For each parameter that has been stepped: step, exp_avg, exp_avg_sq.
AdamState = dict[str, dict[str, Any]]

_MOMENTS = ('exp_avg', 'exp_avg_sq')
_BUFFERS = ('relative_position_index', 'attn_mask', 'running_mean',
            'running_var', 'num_batches_tracked')
# What AdamW's groups hold in every version of PyTorch.
_SETTINGS = ('lr', 'betas', 'eps', 'weight_decay', 'amsgrad')


def split_groups(weights: State) -> tuple[list[str], list[str]]:
    """Names of the decayed and of the other parameters, in their order."""
    decayed: list[str] = []
    exempt: list[str] = []
    for name, value in weights.items():
        is_exempt = name.endswith('.bias') or value.ndim == 1
        (exempt if is_exempt else decayed).append(name)
    return decayed, exempt


def number_states(states: AdamState,
                  groups: Sequence[Sequence[str]]) -> dict[int, dict]:
    """States by number, counting the names through all groups."""
    order = [name for group in groups for name in group]
    return {
        number: states[name]
        for number, name in enumerate(order) if name in states
    }


def _sizes(groups: Sequence[Collection]) -> list[int]:
    return [len(group) for group in groups]


def _members(optimizer: dict[str, Any]) -> list[list[int]]:
    """Numbers of the parameters of each group."""
    return [group['params'] for group in optimizer['param_groups']]


def _check_state(name: str, state: dict[str, Any], shape: Sequence) -> None:
    if set(state) != {'step', *_MOMENTS}:
        raise CheckpointError(
            f'"optimizer" of the checkpoint has {", ".join(state)} for '
            f'"{name}": only the state of AdamW (step, exp_avg, exp_avg_sq) '
            'can be converted.')
    for key in _MOMENTS:
        if state[key].shape != shape:
            raise CheckpointError(
                f'"optimizer" of the checkpoint has {key} of shape '
                f'{tuple(state[key].shape)} where "{name}" is '
                f'{tuple(shape)}: it belongs to other weights.')


def _name_states(optimizer: dict[str, Any], weights: State) -> AdamState:
    """States by name of the parameters that were optimized, in order."""
    groups, members = split_groups(weights), _members(optimizer)
    if _sizes(groups) != _sizes(members):
        raise CheckpointError(
            '"optimizer" of the checkpoint has groups of '
            f'{_sizes(members)} parameters where the student has '
            f'{_sizes(groups)} (decayed, not decayed): check that '
            'neck.shared_head and neck.norm_last_layer are those of the run '
            'and that nothing else was frozen.')
    states: AdamState = {}
    for names, numbers in zip(groups, members):
        for name, number in zip(names, numbers):
            # Parameters that were frozen so far have none.
            state = optimizer['state'].get(number)
            if state:
                _check_state(name, state, weights[name].shape)
                states[name] = state
    return states


def _convert(states: AdamState, names: dict[str, str],
             convert: Callable[[State], State]) -> AdamState:
    """States under other names; moments are laid out as weights are."""
    moments = {
        key: convert({name: state[key] for name, state in states.items()})
        for key in _MOMENTS
    }
    return {
        names[name]: dict(
            step=state['step'],
            **{key: moments[key][names[name]] for key in _MOMENTS})
        for name, state in states.items()
    }


def from_official_optimizer(checkpoint: dict[str, Any],
                            trainable: Collection[str]) -> AdamState:
    """State of AdamW from an official checkpoint.

    Args:
        checkpoint: A full one, with ``student`` and ``optimizer``.
        trainable: Names of the parameters of ``IBOT`` with a gradient.

    Returns:
        For each of them that has been stepped ``step`` (a float32 scalar),
        ``exp_avg`` and ``exp_avg_sq`` (of its shape).

    Raises:
        CheckpointError: The optimizer is not AdamW, or has other parameters.
    """
    network = official_network(checkpoint['student'])
    names = dict(zip(network, network_from_official(network)))
    weights = {k: v for k, v in network.items() if names[k] in trainable}
    states = _convert(_name_states(checkpoint['optimizer'], weights), names,
                      network_from_official)
    for state in states.values():
        # A plain number in files of old versions of PyTorch.
        state['step'] = torch.tensor(float(state['step']))
    return states


def _optimized(student: State, sizes: list[int]) -> State:
    """The student's parameters that an optimizer with such groups has."""
    norms = [
        name for name, value in student.items()
        if re.fullmatch(r'neck\.mlp\.\d+\.weight', name) and value.ndim == 1
    ]
    # One norm stands at several positions of the head; the first one counts.
    repeated = tuple(name[:-len('weight')] for name in norms[1:])
    parameters = {
        name: value for name, value in student.items()
        if not name.endswith(_BUFFERS) and not name.startswith(repeated)
    }
    # A fixed gain (norm_last_layer) is not optimized.
    fixed = {k: v for k, v in parameters.items() if not k.endswith('weight_g')}
    return fixed if _sizes(split_groups(fixed)) == sizes else parameters


def to_official_optimizer(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """``optimizer`` of an official checkpoint.

    Args:
        checkpoint: One of a pre-training of ours, with ``state_dict`` and
            ``optimizer``.

    Returns:
        ``state_dict()`` of an AdamW over the official student.

    Raises:
        CheckpointError: The optimizer is not AdamW in the two groups of
            ``PretrainOptimWrapperConstructor``.
    """
    student = {
        name: value for name, value in checkpoint['state_dict'].items()
        if name.startswith(('backbone.', 'neck.'))
    }
    optimizer = checkpoint['optimizer']
    weights = _optimized(student, _sizes(_members(optimizer)))
    network = official_network(network_to_official(student))
    ours = dict(zip(network, network_from_official(network)))
    states = _convert(
        _name_states(optimizer, weights), {v: k for k, v in ours.items()},
        network_to_official)
    groups = split_groups(
        {k: v for k, v in network.items() if ours[k] in weights})
    for state in states.values():
        state['step'] = int(state['step'])
    start = 0
    param_groups = []
    for names, settings in zip(groups, optimizer['param_groups']):
        param_groups.append({
            **{key: settings[key] for key in _SETTINGS if key in settings},
            'params': list(range(start, start + len(names)))
        })
        start += len(names)
    return dict(state=number_states(states, groups), param_groups=param_groups)
