"""Refuse checkpoints that run code where they are read without care."""

import os
import re
import zipfile
from math import prod
from typing import Any, NoReturn

from .load import CheckpointError, Ignored, NumpyType, SafeUnpickler, read_with

_HISTORY = ('mmengine.logging.history_buffer', 'HistoryBuffer')
# Classes in the state of a training that do nothing when they are called.
_HARMLESS = {
    *(('builtins', name) for name in (
        'bool', 'bytearray', 'complex', 'dict', 'float', 'frozenset', 'int',
        'list', 'range', 'slice', 'str', 'tuple')),
    ('collections', 'Counter'),  # milestones of schedules
    ('collections', 'defaultdict'),
    ('collections', 'deque'),
    ('datetime', 'datetime'),
    ('datetime', 'timedelta'),
}


class _History(Ignored):
    """Stands for MMEngine's HistoryBuffer."""


def _refusal(name: str) -> CheckpointError:
    return CheckpointError(
        f'was not read: it names "{name}", which is no part of a '
        'checkpoint and may be an attack. If you trust it, save its weights '
        'anew as plain tensors.')


def _method(owner: Any = None, name: Any = '', *args) -> type:
    """Stands for ``getattr``, of which log buffers get their methods."""
    if owner is not _History or args or (
            not isinstance(name, str) or name.startswith('_')):
        raise _refusal('builtins.getattr')
    return Ignored


class _Type(NumpyType):
    """Stands for ``numpy.dtype``: numbers and texts, nothing composed.

    The bytes of an array of objects would be taken for their addresses.
    """

    def __init__(self, code: str, *args) -> None:
        super().__init__(code)
        found = re.fullmatch(r'([biufcSU])(\d+)', str(code))
        if found is None:
            raise _refusal(f'numpy.dtype({code!r})')
        self.size = int(found.group(2)) * (4 if code[0] == 'U' else 1)

    def __setstate__(self, state: tuple) -> None:
        """(version, byte order, three Nones, size, alignment, flags)."""
        initialised = 8  # the only flag of these types, that of texts
        if state[2:5] != (None, None, None) or any(
                flags & ~initialised for flags in state[7:8]):
            raise _refusal('numpy.dtype')


class _Class:
    """Stands for ``numpy.ndarray``, which only ``_reconstruct`` may call."""

    def __new__(cls, *args) -> NoReturn:
        raise _refusal('numpy.ndarray')


class _Array(Ignored):
    """Stands for what ``_reconstruct`` makes."""

    def __setstate__(self, state: tuple) -> None:
        """(version, shape, type, order, bytes)."""
        _, shape, kind, _, data = state
        if not (isinstance(kind, _Type) and isinstance(data, bytes)
                and len(data) == prod(shape) * kind.size):
            raise _refusal('numpy.ndarray')


def _scalar(kind: Any = None, data: Any = None, *args) -> Ignored:
    """Stands for NumPy's maker of numbers."""
    if not isinstance(kind, _Type) or not isinstance(data, bytes):
        raise _refusal('numpy.scalar')
    return Ignored()


_NUMPY = {
    ('numpy', 'dtype'): _Type,
    ('numpy', 'ndarray'): _Class,
    **{(module, name): stand_in
       for module in ('numpy.core.multiarray', 'numpy._core.multiarray')
       for name, stand_in in (('_reconstruct', _Array), ('scalar', _scalar))},
}


class _Inspector(SafeUnpickler):
    """Reads as its parent does, and stops at the unknown."""

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        if (module, name) == ('builtins', 'getattr'):
            return _method
        if (module, name) == _HISTORY:
            return _History
        if (module, name) in _NUMPY:
            return _NUMPY[module, name]
        found = super().find_class(module, name)
        if found is Ignored and (module, name) not in _HARMLESS:
            raise _refusal(f'{module}.{name}')
        return found


def refuse_code(path: str) -> None:
    """Refuse a checkpoint that holds more than the state of a training.

    MMEngine falls back to unpickling whatever a file says, so files that it
    is about to read are looked at before. Tensors, containers, numbers and
    MMEngine's log buffers are let in; nothing in the file is called.

    Args:
        path: File of ``torch.save`` on this machine.

    Raises:
        CheckpointError: It is missing, damaged, or names anything else.
    """
    if '://' in path:
        raise CheckpointError(
            f'"{path}" is an address, whose content cannot be looked at '
            'before it is read: download it and give the file.')
    path = os.path.expanduser(path)
    read_with(_Inspector, path, mmap=zipfile.is_zipfile(path))
