"""Pre-trained weights from any checkpoint, checked before they are loaded."""

from collections import Counter
from pathlib import Path
from typing import Any

from mmengine.fileio import get_local_path
from torch import Tensor, nn

from ibot_mm.checkpoints.official.state_dict import (
    State,
    add_prefix,
    from_official_checkpoint,
    strip,
)

from .load import CheckpointError, load_checkpoint, require_file

# Load-time hooks of the backbones that change what a checkpoint holds.
_FITTING_HOOKS = ('_prepare_pos_embed', '_drop_absent_norm',
                  '_prepare_relative_position_bias_table')


def _first(names, count: int = 4) -> str:
    names = sorted(map(str, names))
    more = f' and {len(names) - count} more' if len(names) > count else ''
    return ', '.join(names[:count]) + more


def _prefixes(state: State) -> str:
    heads = Counter(name.split('.')[0] for name in state)
    return ', '.join(head for head, _ in heads.most_common(6)) or 'nothing'


def weights_of(checkpoint: dict[str, Any]) -> State:
    """The weights of a checkpoint that MMEngine or ``torch.save`` wrote.

    Raises:
        CheckpointError: There are none.
    """
    state = checkpoint.get('state_dict', checkpoint)
    _require_state(state, 'state_dict' if state is not checkpoint else '')
    return state


def _require_state(state: Any, where: str) -> None:
    """Refuse what is not a dict of tensors by name."""
    place = f'"{where}" of the checkpoint' if where else 'the checkpoint'
    if not isinstance(state, dict):
        raise CheckpointError(f'{place} is not a dict of weights, but '
                              f'{type(state).__name__}.')
    bad = [key for key, value in state.items()
           if not isinstance(key, str) or not isinstance(value, Tensor)]
    if bad:
        raise CheckpointError(
            f'{place} holds {bad[0]!r}, which is no tensor with a name: it '
            'is no state dict of PyTorch.')


def select_side(checkpoint: dict[str, Any], side: str = 'teacher') -> State:
    """Backbone, and neck if it is there, of a checkpoint of any kind.

    Known are checkpoints of a pre-training with this package, what
    ``extract_backbone.py`` wrote, full and backbone-only files of the official
    code (and others with its names), and bare backbones of the host.

    Args:
        checkpoint: What the file holds.
        side: 'teacher' or 'student', for those that hold both.

    Returns:
        ``backbone.*`` without the mask token, and ``neck.*`` where the
        checkpoint has a projection head.

    Raises:
        CheckpointError: The side, or any known backbone, is not there.
    """
    if {'student', 'teacher'} & set(checkpoint):
        for name in {'student', 'teacher'} & set(checkpoint):
            _require_state(checkpoint[name], name)
        state: State = {}
    else:
        state = weights_of(checkpoint)
    if not state or 'patch_embed.proj.weight' in state:
        state = from_official_checkpoint(checkpoint, [side])
        prefix = 'teacher.' if side == 'teacher' and 'teacher' in checkpoint \
            else ''
    elif 'patch_embed.projection.weight' in state:
        state, prefix = add_prefix(state, 'backbone.'), ''
    elif any(name.startswith('teacher.backbone.') for name in state):
        prefix = 'teacher.' if side == 'teacher' else ''
    elif side == 'teacher' and strip(state, 'backbone.') and (
            {'backbone.mask_token', 'head.center'} & set(state)):
        raise CheckpointError(
            'the checkpoint has no teacher, only a student: take that with '
            'side="student", or extract_backbone.py --side student.')
    else:
        prefix = ''
    result = {
        **add_prefix(strip(state, f'{prefix}backbone.'), 'backbone.'),
        **add_prefix(strip(state, f'{prefix}neck.'), 'neck.')
    }
    result.pop('backbone.mask_token', None)
    if not strip(result, 'backbone.'):
        raise CheckpointError(
            f'the checkpoint has no backbone of the {side}: its entries '
            f'begin with {_prefixes(state)}.')
    return result


def require_neck(state: State) -> State:
    """What :func:`select_side` gave, if it has the projection head.

    Raises:
        CheckpointError: It has none.
    """
    if not any(name.startswith('neck.') for name in state):
        raise CheckpointError(
            'the checkpoint has no projection head: take a full one, or '
            'extract it with extract_backbone.py --with-neck.')
    return state


def fit_to_model(model: nn.Module, state: State) -> State:
    """Resize positions and window tables to what a model has.

    The final norm of a ViT that does without is left out.

    Args:
        model: Its backbones say how.
        state: Weights with the model's names.

    Returns:
        A new dict; weights that fit already are the same tensors.
    """
    state = dict(state)
    for name, module in model.named_modules():
        for hook in _FITTING_HOOKS:
            if hasattr(module, hook):
                getattr(module, hook)(state, f'{name}.' if name else '')
    return state


def _architecture(state: State) -> str:
    """What kind of backbone a state dict is, in words; '' if none."""
    weight = next((v for k, v in state.items()
                   if k.endswith('patch_embed.projection.weight')), None)
    if weight is None:
        return ''
    is_swin = any('relative_position_bias_table' in name for name in state)
    blocks = {
        name.split('.attn.')[0] for name in state if '.attn.' in name
    }
    return (f'{"Swin transformer" if is_swin else "ViT"} of width '
            f'{weight.shape[0]}, {len(blocks)} blocks and patches of '
            f'{weight.shape[-1]} pixels')


def check_keys(expected: State, given: State, source: str) -> None:
    """Refuse weights that are not exactly those of a model.

    Args:
        expected: State dict of the model.
        given: Weights to load in it.
        source: Name of the file, for the message.

    Raises:
        CheckpointError: Names what is missing, unexpected or of another
            shape; or the architecture, if that is what differs.
    """
    missing = [
        name for name in set(expected) - set(given)
        if not name.endswith('num_batches_tracked')
    ]
    unexpected = set(given) - set(expected)
    shapes = [
        f'{name} {tuple(given[name].shape)} instead of '
        f'{tuple(expected[name].shape)}' for name in set(expected) & set(given)
        if given[name].shape != expected[name].shape
    ]
    if not (missing or unexpected or shapes):
        return
    theirs, ours = _architecture(given), _architecture(expected)
    if theirs and ours and theirs != ours:
        raise CheckpointError(
            f'"{source}" holds a {theirs}, but the config builds a {ours}: '
            'use the config of that architecture.')
    parts = [
        f'{what} ({len(names)}): {_first(names)}'
        for what, names in (('missing', missing), ('unexpected', unexpected),
                            ('of another shape', shapes)) if names
    ]
    raise CheckpointError(f'"{source}" does not fit the model; '
                          + '; '.join(parts) + '.')


def require_checkpoint(path: str | None, name: str) -> None:
    """Refuse a module's checkpoint that is not named or not there.

    Args:
        path: Path or URL; what is behind a URL is not looked at.
        name: Of the module.

    Raises:
        CheckpointError: There is none.
    """
    if not path:
        raise CheckpointError(
            f'{name} is to start from a checkpoint, but none is named: give '
            '--pretrained PATH, or set init_cfg.checkpoint.')
    if '://' not in path:
        require_file(path)


def _read(path: str) -> dict[str, Any]:
    if '://' not in path:
        return load_checkpoint(path)
    with get_local_path(path) as local:
        return load_checkpoint(local)


def _with_prefix(checkpoint: dict[str, Any], prefix: str,
                 source: str) -> State:
    state = weights_of(checkpoint)
    found = strip(state, prefix)
    found.pop('mask_token', None)
    if not found:
        raise CheckpointError(
            f'nothing in "{source}" begins with the prefix "{prefix}": its '
            f'entries begin with {_prefixes(state)}.')
    return found


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    prefix: str | None = None,
                    part: str = 'backbone',
                    side: str = 'teacher',
                    only: str = '',
                    img_size: int | tuple[int, int] | None = None,
                    inflate: bool = False,
                    map_location: str | None = None) -> list[str]:
    """Load a backbone or neck, all of it or nothing.

    Args:
        module: The backbone or neck.
        checkpoint: Path or URL of a file that :func:`select_side` knows.
        prefix: Take exactly the entries below this prefix, e.g. 'backbone.';
            None finds them by itself.
        part: 'backbone' or 'neck'; used without a prefix.
        side: 'teacher' or 'student'; used without a prefix.
        only: Take only the entries whose names begin so.
        img_size: Size (H, W) in pixels that the checkpoint's position
            embeddings are for; only needed where it was not square.
        inflate: Whether a patch embedding for another number of input
            channels is converted (:func:`inflate_channels`); an error
            otherwise.
        map_location: Accepted for configs of the host; weights are read on
            the CPU and copied.

    Returns:
        Names that were loaded.

    Raises:
        CheckpointError: The file cannot be read, or is not exactly what the
            module needs.
    """
    require_checkpoint(checkpoint, type(module).__name__)
    source = Path(checkpoint).name
    content = _read(checkpoint)
    if prefix is not None:
        state = _with_prefix(content, prefix, source)
    else:
        try:
            state = select_side(content, side)
            if part == 'neck':
                state = require_neck(state)
        except CheckpointError as error:
            raise CheckpointError(f'"{source}": {error}') from error
        state = strip(state, f'{part}.')
    state = {k: v for k, v in state.items() if k.startswith(only)}
    expected = module.state_dict()
    if getattr(module, 'mask_token', None) is not None:
        # Only a student in pre-training has one; it starts anew.
        state['mask_token'] = expected['mask_token']
    for name in getattr(module, 'newly_initialized', ()):
        state.setdefault(name, expected[name])
    kernel = 'patch_embed.projection.weight'
    if inflate and kernel in state and kernel in expected:
        from ibot_mm.models.layers.patch_embed import inflate_channels
        state[kernel] = inflate_channels(state[kernel],
                                         expected[kernel].shape[1])
    if img_size is not None and 'pos_embed' in state and hasattr(
            module, 'fit_positions'):
        state['pos_embed'] = module.fit_positions(state['pos_embed'],
                                                  img_size)
    state = fit_to_model(module, state)
    check_keys(expected, state, source)
    module.load_state_dict(state)
    return list(state)


def init_from_checkpoint(module: nn.Module, **defaults: Any) -> bool:
    """Load the checkpoint that a module's ``init_cfg`` names, if it does.

    The host's ``Pretrained`` warns where weights are missing; with this one
    they are an error. Its other keys are those of :func:`load_pretrained`.

    Args:
        module: A module with an ``init_cfg``.
        **defaults: Arguments of :func:`load_pretrained` that the
            ``init_cfg`` may replace.

    Returns:
        Whether there was one.
    """
    cfg = getattr(module, 'init_cfg', None)
    if not isinstance(cfg, dict) or cfg.get('type') != 'Pretrained':
        return False
    settings = {key: value for key, value in cfg.items() if key != 'type'}
    load_pretrained(module, **{**defaults, **settings})
    module._is_init = True
    return True
