"""Load weights strictly."""

from textwrap import shorten

from torch import nn

from .load import CheckpointError
from .official.state_dict import State, strip_prefix

KERNEL = 'patch_embed.projection.weight'


def _backbone_prefix(state: State) -> str | None:
    """Prefix of the first backbone of a state dict; None without one."""
    return next((name.removesuffix(KERNEL) for name in state
                 if name.endswith(KERNEL)), None)


def _architecture(state: State) -> str:
    """Kind and size of the first backbone; '' if there is none."""
    prefix = _backbone_prefix(state)
    if prefix is None:
        return ''
    # A pre-training has two, of student and teacher.
    state = strip_prefix(state, prefix)
    is_swin = any('relative_position_bias_table' in name for name in state)
    blocks = {name.split('.attn.')[0] for name in state if '.attn.' in name}
    words = (f'{"Swin transformer" if is_swin else "ViT"} of width '
             f'{state[KERNEL].shape[0]}, {len(blocks)} blocks and patches of '
             f'{state[KERNEL].shape[-1]} pixels')
    if 'register_tokens' in state:
        words += (f', {state["register_tokens"].shape[1]} register tokens '
                  '(num_register_tokens)')
    if any(name.endswith('.gamma1.weight') for name in state):
        words += ', LayerScale (layer_scale_init_value)'
    return words


def _missing_parts(state: State, own: State) -> list[str]:
    """Parts of a complete model that a state dict has nothing of."""
    if not _backbone_prefix(own):
        return []  # a backbone or a neck alone
    parts = [{name.split('.')[0] for name in names} for names in (own, state)]
    return sorted(parts[0] - parts[1])


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
            or those of another architecture, or of a part of the model only.
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
        if missing := _missing_parts(state, before):
            raise CheckpointError(
                f'"{source}" holds no {", ".join(missing)}, which the model '
                'of the config has. To start from its backbone, name the file '
                'in the init_cfg of the backbone.') from error
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
