"""Load pre-trained weights from any checkpoint, strictly."""

from collections import Counter
from inspect import signature
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ibot_mm.checkpoints.official.state_dict import (
    State,
    add_prefix,
    from_official_checkpoint,
    strip_prefix,
)

from .load import CheckpointError, load_checkpoint
from .load_log import log_loaded
from .sizes import check_sizes
from .strict import KERNEL, load_strict
from .timm import from_timm
from .unread import pretrained_cfg

# Name of the official code, DINO, DINOv2 and timm.
_KERNEL = 'patch_embed.proj.weight'
# Entries that only a student of a pre-training has.
STUDENT_ENTRIES = {'backbone.mask_token', 'head.center.value'}


def _prefixes(state: State) -> str:
    heads = Counter(name.split('.')[0] for name in state)
    return ', '.join(head for head, _ in heads.most_common(6)) or 'nothing'


def weights_of(checkpoint: dict[str, Any]) -> State:
    """All weights of a checkpoint that MMEngine or ``torch.save`` wrote.

    Raises:
        CheckpointError: There are none.
    """
    # DeiT's files and DINOv2's training checkpoints have "model".
    key = next((k for k in ('state_dict', 'model') if k in checkpoint), '')
    state = checkpoint[key] if key else checkpoint
    _check_state(state, key)
    return state


def _check_state(state: Any, key: str) -> None:
    """Raise if an entry of a checkpoint is not a dict of named tensors."""
    place = f'"{key}" of the checkpoint' if key else 'the checkpoint'
    if not isinstance(state, dict):
        raise CheckpointError(f'{place} is not a dict of weights, but '
                              f'{type(state).__name__}.')
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise CheckpointError(
                f'{place} holds {name!r}, which is not a named tensor: it is '
                'not a state dict of PyTorch.')


def select_network(checkpoint: dict[str, Any],
                   network: str = 'teacher') -> State:
    """Backbone, and neck if there is one, of a checkpoint of any kind.

    These are checkpoints of a pre-training with this package, files of
    ``extract_backbone.py``, full and backbone-only files of the official
    code, DINO, DINOv2 and timm, and state dicts of MMPretrain's backbones.

    Args:
        checkpoint: Content of the file.
        network: 'teacher' or 'student', for files that hold both.

    Returns:
        ``backbone.*`` without the mask token, and ``neck.*`` where the
        checkpoint has a projection head.

    Raises:
        CheckpointError: The network, or any known backbone, is missing.
    """
    if {'student', 'teacher'} & set(checkpoint):
        for name in {'student', 'teacher'} & set(checkpoint):
            _check_state(checkpoint[name], name)
        state: State = {}
    else:
        state = weights_of(checkpoint)
    prefix = ''
    theirs = [name.removesuffix(_KERNEL) for name in state
              if name.endswith(_KERNEL)]
    if not state:
        state = from_official_checkpoint(checkpoint, [network])
        if network == 'teacher' and 'teacher' in checkpoint:
            prefix = 'teacher.'
    elif theirs:
        other = 'student' if network == 'teacher' else 'teacher'
        state = next((add_prefix(from_timm(strip_prefix(state, place)),
                                 'backbone.')
                      for place in theirs if other not in place), state)
    elif 'patch_embed.projection.weight' in state:
        state = add_prefix(state, 'backbone.')
    elif any(name.startswith('teacher.backbone.') for name in state):
        prefix = 'teacher.' if network == 'teacher' else ''
    elif network == 'teacher' and strip_prefix(state, 'backbone.') and (
            STUDENT_ENTRIES & set(state)):
        raise CheckpointError(
            'the checkpoint has no teacher, only a student: take that with '
            'network="student", or extract_backbone.py --network student.')
    result = {
        name: value
        for name, value in strip_prefix(state, prefix).items()
        if name.startswith(('backbone.', 'neck.'))
    }
    result.pop('backbone.mask_token', None)
    if not strip_prefix(result, 'backbone.'):
        raise CheckpointError(
            f'the checkpoint has no backbone of the {network}: its entries '
            f'begin with {_prefixes(state)}.')
    return result


def network_taken(checkpoint: dict[str, Any], network: str) -> str:
    """Whose weights :func:`select_network` takes; '' if no one can tell.

    Files of a backbone do not say which network it was.
    """
    if {'student', 'teacher'} & set(checkpoint):
        return network
    state = weights_of(checkpoint)
    if any(name.startswith('teacher.backbone.') for name in state):
        return network
    return 'student' if STUDENT_ENTRIES & set(state) else ''


def require_neck(state: State) -> State:
    """Return a state dict if it has the projection head.

    Raises:
        CheckpointError: It has none.
    """
    if not any(name.startswith('neck.') for name in state):
        raise CheckpointError(
            'the checkpoint has no projection head: take a full one, or '
            'extract it with extract_backbone.py --with-neck.')
    return state


def require_checkpoint(path: str | None, name: str) -> None:
    """Raise if a module's checkpoint is not set or not there.

    Args:
        path: Path or address; addresses are not opened.
        name: Name of the module.

    Raises:
        CheckpointError: There is none.
    """
    if not path:
        raise CheckpointError(
            f'{name} starts from a checkpoint, but none is set: give '
            '--pretrained PATH, or set init_cfg.checkpoint.')
    if '://' not in path and not Path(path).expanduser().exists():
        raise CheckpointError(f'there is no checkpoint "{path}".')


def load_pretrained(module: nn.Module,
                    checkpoint: str,
                    prefix: str | None = None,
                    part: str = 'backbone',
                    network: str = 'teacher',
                    keep_prefix: str = '',
                    img_size: int | tuple[int, int] | None = None,
                    inflate: bool = False,
                    resize_positions: bool = True,
                    resize_patches: bool = False,
                    map_location: str | None = None) -> list[str]:
    """Load a backbone or neck, all of it or nothing.

    Args:
        module: The backbone or neck.
        checkpoint: File that :func:`select_network` knows, or its address,
            which may end in ``#sha256=...``.
        prefix: Take exactly the entries below this prefix, e.g.
            'teacher.backbone.'; None finds them. So does 'backbone.', which
            configs of MMPretrain name for every file.
        part: 'backbone' or 'neck'; used without a prefix.
        network: 'teacher' or 'student'; used without a prefix.
        keep_prefix: Take only the entries whose names then begin with this.
        img_size: Size (H, W) in pixels that the checkpoint's position
            embeddings are for; only needed where it was not square.
        inflate: Whether a patch embedding for another number of input
            channels is converted; an error otherwise.
        resize_positions: Whether position embeddings for another grid, and
            Swin's biases for another window, are resized; an error otherwise.
            A backbone with a mask token, which starts a pre-training, has
            False as default in its ``init_cfg``.
        resize_patches: Whether a patch embedding for another patch size is
            resized (:func:`~ibot_mm.models.layers.patch_embed.resize_kernel`);
            an error otherwise.
        map_location: Accepted for configs of MMPretrain; weights are read on
            the CPU and copied.

    Returns:
        Names that were loaded.

    Raises:
        CheckpointError: The file cannot be read, or is not exactly what the
            module needs.
    """
    require_checkpoint(checkpoint, type(module).__name__)
    source = Path(checkpoint).name
    content = load_checkpoint(checkpoint)
    try:
        if prefix in (None, 'backbone.'):
            part = 'backbone' if prefix else part
            state = select_network(content, network)
            prefix = f'{part}.'
        else:
            state = weights_of(content)
            network = 'teacher' if 'teacher' in prefix else 'student'
        found = strip_prefix(require_neck(state) if prefix == 'neck.' else
                             state, prefix)
        found.pop('mask_token', None)
        if not found:
            raise CheckpointError(
                f'nothing begins with the prefix "{prefix}": its entries '
                f'begin with {_prefixes(state)}.')
    except CheckpointError as error:
        raise CheckpointError(f'"{source}": {error}') from error
    found = {k: v for k, v in found.items() if k.startswith(keep_prefix)}
    state = dict(found)
    expected = module.state_dict()
    # Pre-training has no norms of early stages; only its student has a mask
    # token.
    for name in ('mask_token', *getattr(module, 'newly_initialized', ())):
        if name in expected:
            state.setdefault(name, expected[name])
    if inflate and KERNEL in state and hasattr(module, 'fit_channels'):
        state[KERNEL] = module.fit_channels(state[KERNEL])
    if resize_patches and KERNEL in state and hasattr(module, 'fit_patches'):
        state[KERNEL] = module.fit_patches(state[KERNEL])
    check_sizes(state, expected, source, resize_positions)
    if img_size is not None and 'pos_embed' in state and hasattr(
            module, 'fit_positions'):
        state['pos_embed'] = module.fit_positions(state['pos_embed'],
                                                  img_size)
    load_strict(module, state, source)
    network = network_taken(content, network)
    whose = f"the {network}'s" if network else 'the'
    log_loaded(module, found, f'{whose} {part} in "{checkpoint}"')
    return list(state)


def init_from_checkpoint(module: nn.Module, **defaults: Any) -> bool:
    """Load the checkpoint that a module's ``init_cfg`` names, if any.

    Other than with MMEngine's ``PretrainedInit``, missing weights are an
    error. Its keys are the arguments of :func:`load_pretrained`.

    Args:
        module: A module with an ``init_cfg``.
        **defaults: Arguments of :func:`load_pretrained` that the
            ``init_cfg`` may replace.

    Returns:
        Whether there was one.

    Raises:
        ValueError: It has a key that is no such argument.
    """
    cfg = pretrained_cfg(module)
    if cfg is None:
        return False
    settings = {key: value for key, value in cfg.items() if key != 'type'}
    known = list(signature(load_pretrained).parameters)[1:]
    for key in settings.keys() - known:
        raise ValueError(f'{type(module).__name__}: init_cfg has no key '
                         f'"{key}", only {", ".join(known)}.')
    load_pretrained(module, **{**defaults, **settings})
    module._is_init = True
    return True
