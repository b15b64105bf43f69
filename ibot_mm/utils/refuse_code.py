"""Refuse checkpoints that run code where they are read without care."""

import zipfile
from typing import Any

from mmengine.fileio import get_local_path

from .safe_load import CheckpointError, Ignored, SafeUnpickler, read_with

_HISTORY = ('mmengine.logging.history_buffer', 'HistoryBuffer')
# What log buffers and numbers in the state of a training are made of. None
# of it does anything when it is called.
_HARMLESS = {
    ('builtins', 'slice'),
    ('collections', 'defaultdict'),
    ('collections', 'deque'),
    ('numpy', 'ndarray'),
    ('numpy.core.multiarray', '_reconstruct'),
    ('numpy._core.multiarray', '_reconstruct'),
}


class _History(Ignored):
    """Stands for MMEngine's HistoryBuffer."""


def _refusal(name: str) -> CheckpointError:
    return CheckpointError(
        f'was not read: it would call "{name}", which is no part of a '
        'checkpoint and may be an attack. If you trust it, save its weights '
        'anew as plain tensors.')


def _method(owner: Any = None, name: Any = '', *args) -> type:
    """Stands for ``getattr``, of which log buffers get their methods."""
    if owner is not _History or args or (
            not isinstance(name, str) or name.startswith('_')):
        raise _refusal('builtins.getattr')
    return Ignored


class _Inspector(SafeUnpickler):
    """Reads as its parent does, and stops at the unknown."""

    def find_class(self, module: str, name: str) -> Any:
        module = 'builtins' if module == '__builtin__' else module
        if (module, name) == ('builtins', 'getattr'):
            return _method
        if (module, name) == _HISTORY:
            return _History
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
        path: File of ``torch.save``, or an address that MMEngine reads.

    Raises:
        CheckpointError: It is missing, damaged, or names anything else.
    """
    if '://' in path:
        with get_local_path(path) as local:
            read_with(_Inspector, local, mmap=zipfile.is_zipfile(local))
    else:
        read_with(_Inspector, path, mmap=zipfile.is_zipfile(path))
