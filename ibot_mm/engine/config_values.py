"""Values of a config that are plainly of another type than is wanted."""

import collections.abc
import types
import typing
from collections.abc import Sequence
from typing import Any, Literal, Optional, Union

from .config_signatures import Setting

# Settings of the hosts that are judged; their annotations are not always
# right. By class, and for all optimizers.
HOST_TYPES = {
    'DataLoader': dict(
        batch_size=Optional[int], num_workers=int, drop_last=bool,
        pin_memory=bool, persistent_workers=bool,
        prefetch_factor=Optional[int], timeout=float),
    'Optimizer': dict(
        lr=Optional[float], weight_decay=float, momentum=float,
        betas=Sequence[float]),
    'OptimWrapper': dict(accumulative_counts=int),
    'EpochBasedTrainLoop': dict(
        max_epochs=int, val_interval=int, val_begin=int),
    'IterBasedTrainLoop': dict(
        max_iters=int, val_interval=int, val_begin=int),
    'CheckpointHook': dict(
        interval=int, by_epoch=bool, max_keep_ckpts=int, save_last=bool,
        save_optimizer=bool, save_param_scheduler=bool),
    'set_random_seed': dict(
        seed=Optional[int], deterministic=bool, diff_rank_seed=bool),
    'LoggerHook': dict(interval=int, log_metric_by_epoch=bool),
}

_WORDS = {
    int: 'an int', float: 'a float', bool: 'a bool', str: 'a str',
    list: 'a list', tuple: 'a tuple', dict: 'a dict', type(None): 'None'
}
_UNION = (Union, getattr(types, 'UnionType', Union))
_SEQUENCES = (list, tuple, collections.abc.Sequence, collections.abc.Iterable)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def _forms(annotation: Any) -> tuple:
    """An annotation as its alternatives, its kind and its arguments."""
    origin = typing.get_origin(annotation)
    args = typing.get_args(annotation)
    return (args if origin in _UNION else (annotation, ),
            origin or annotation, args)


def fits(annotation: Any, value: Any) -> bool:
    """Whether a value may be of a type; True where that cannot be told.

    An int is a float, 0 and 1 are bools, a bool is no number, and lists and
    tuples are the same: so config files write them.
    """
    if not isinstance(value, dict) and type(value) not in _WORDS:
        return True
    alternatives, kind, args = _forms(annotation)
    if len(alternatives) > 1:
        return any(fits(alternative, value) for alternative in alternatives)
    if kind is bool:
        return isinstance(value, bool) or (
            isinstance(value, int) and value in (0, 1))
    if kind is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if kind is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if kind in (str, type(None)):
        return isinstance(value, kind)
    if kind in _DICTS:
        return isinstance(value, dict)
    if kind is Literal:
        return value in args
    if kind in _SEQUENCES:
        return _fits_sequence(kind, args, value)
    return True


def _fits_sequence(kind: Any, args: tuple, value: Any) -> bool:
    """As :func:`fits`; the length of a tuple is not judged."""
    if isinstance(value, (str, dict)):
        # Both can be gone through; letters are hardly what was meant.
        return not isinstance(value, str) or args[:1] == (str, )
    if not isinstance(value, (list, tuple)):
        return False
    if kind is tuple and args and args[-1] is not Ellipsis:
        return len(args) != len(value) or all(map(fits, args, value))
    return not args or all(fits(args[0], item) for item in value)


def in_words(annotation: Any) -> str:
    """A type as a message names it, e.g. 'a sequence of float, or None'."""
    alternatives, kind, args = _forms(annotation)
    if len(alternatives) > 1:
        return ' or '.join(map(in_words, alternatives))
    if kind is Literal:
        return ' or '.join(map(shown, args))
    if kind in _DICTS:
        return _WORDS[dict]
    if kind in _SEQUENCES and annotation not in _WORDS:
        named = dict.fromkeys(
            in_words(a).split(' ', 1)[-1] for a in args if a is not Ellipsis)
        return 'a sequence' + (f' of {" or ".join(named)}' if named else '')
    return _WORDS.get(kind, getattr(kind, '__name__', str(kind)))


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = f'"{value}"' if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else f'{text[:57]}...'


def _is_ours(setting: Setting) -> bool:
    return getattr(setting.owner, '__module__', '').startswith('ibot_mm.')


def _wanted_type(setting: Setting, name: str, table: str) -> Any:
    """Type that a setting has to have, ``Any`` where it is not judged."""
    if name == 'init_cfg':
        return Any  # MMEngine takes lists of them too
    if _is_ours(setting):
        # `x: int = None` means Optional.
        return Optional[setting.annotation] if (
            setting.default is None) else setting.annotation
    row = table or getattr(setting.owner, '__name__', '')
    return HOST_TYPES.get(row, {}).get(name, Any)


def wrong_type(setting: Setting, name: str, value: Any, taker: str,
               table: str = '') -> str | None:
    """What is wrong with the type of a value, if anything.

    Judged are the settings of this package, by their annotations, and those
    of the hosts in ``HOST_TYPES``.

    Args:
        setting: The setting it is for.
        name: Name of the setting.
        value: The value.
        taker: Name of the class, for the message.
        table: Row of ``HOST_TYPES``; the name of the setting's class if
            empty.
    """
    wanted = _wanted_type(setting, name, table)
    # The hosts count with 1e5 too.
    whole = isinstance(value, float) and value.is_integer() and (
        not _is_ours(setting))
    if wanted is Any or fits(wanted, int(value) if whole else value):
        return None
    what = 'it is None' if value is None else (
        f'{shown(value)} is {in_words(dict)}' if isinstance(value, dict) else
        f'{shown(value)} is {in_words(type(value))}')
    return f'{what}; {taker} takes {in_words(wanted)}'
