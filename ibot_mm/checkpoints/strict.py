"""Load weights strictly."""

from textwrap import shorten

from torch import nn

from .load import CheckpointError
from .official.state_dict import State


def _architecture(state: State) -> str:
    """Kind and size of the backbone of a state dict; '' if there is none."""
    weight = next((v for k, v in state.items()
                   if k.endswith('patch_embed.projection.weight')), None)
    if weight is None:
        return ''
    is_swin = any('relative_position_bias_table' in name for name in state)
    blocks = {name.split('.attn.')[0] for name in state if '.attn.' in name}
    return (f'{"Swin transformer" if is_swin else "ViT"} of width '
            f'{weight.shape[0]}, {len(blocks)} blocks and patches of '
            f'{weight.shape[-1]} pixels')


def load_strict(module: nn.Module, state: State, source: str,
                assign: bool = False) -> None:
    """``module.load_state_dict(state)``, all of it or nothing.

    Args:
        module: Its hooks for loading resize positions and the like.
        state: Weights under the names of the module.
        source: Name of the file, for the message.
        assign: As of ``load_state_dict``.

    Raises:
        CheckpointError: Weights are missing, unexpected or of another shape,
            or those of another architecture.
    """
    before = module.state_dict()
    if not assign:
        before = {k: v.to('cpu', copy=True) for k, v in before.items()}
        for name in before:  # files of PyTorch 0.4 and slimmed ones lack it
            if name.endswith('num_batches_tracked'):
                state.setdefault(name, before[name])
    try:
        module.load_state_dict(state, assign=assign)
    except (RuntimeError, CheckpointError) as error:
        module.load_state_dict(before, assign=assign)
        theirs, ours = _architecture(state), _architecture(before)
        if theirs and ours and theirs != ours:
            raise CheckpointError(
                f'"{source}" holds a {theirs}, but the config builds a {ours}:'
                ' use the config of that architecture.') from error
        # PyTorch writes a title, then a line per kind of fault.
        lines = str(error).splitlines()
        faults = ' '.join(shorten(line, 300) for line in lines[1:6] or lines)
        raise CheckpointError(
            f'"{source}" does not fit the model: {faults}') from error


def fit_to_model(module: nn.Module, state: State, source: str) -> State:
    """Weights as a model stores them, e.g. with positions resized.

    Args:
        module: Its parameters are on the meta device.
        state: Weights under the names of the module.
        source: Name of the file, for the message.

    Raises:
        CheckpointError: As of :func:`load_strict`.
    """
    empty = module.state_dict()
    load_strict(module, state, source, assign=True)
    fitted = module.state_dict()
    module.load_state_dict(empty, assign=True)
    return fitted
