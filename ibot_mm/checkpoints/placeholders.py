"""What checkpoints name besides tensors and containers, and what is built."""

import argparse
import pickle
import re
from typing import Any

import numpy as np


class Placeholder:
    """An object that is not loaded: a NumPy array or a log buffer."""

    def __init__(self, *args) -> None:
        pass

    def __setstate__(self, state) -> None:
        pass


class Dtype:
    """Stands for ``numpy.dtype``, of numbers and texts only."""

    def __init__(self, code: str, *args) -> None:
        if not re.fullmatch(r'[biufcSU]\d+', str(code)):
            raise pickle.UnpicklingError(f'GLOBAL numpy.dtype({code!r})')
        self.dtype = np.dtype(code)

    def __setstate__(self, state: tuple) -> None:
        self.dtype = self.dtype.newbyteorder(state[1])


def _scalar(kind: Dtype, data: bytes) -> Any:
    """A NumPy scalar as a Python one."""
    return np.frombuffer(data, kind.dtype)[0].item()


def _ndarray(*args) -> None:
    raise pickle.UnpicklingError('GLOBAL numpy.ndarray')


def _getattr(owner: Any, name: str) -> None:
    """Stands for ``getattr``, with which log buffers name their methods."""
    if owner is not Placeholder or name.startswith('_'):
        raise pickle.UnpicklingError('GLOBAL builtins.getattr')


ALLOWED = {
    'argparse.Namespace': argparse.Namespace,
    'builtins.getattr': _getattr,
    'mmengine.logging.history_buffer.HistoryBuffer': Placeholder,
    'numpy.dtype': Dtype,
    'numpy.ndarray': _ndarray,
    **{f'numpy.{core}.multiarray.{name}': stand_in
       for core in ('core', '_core')
       for name, stand_in in (('_reconstruct', Placeholder),
                              ('scalar', _scalar))},
}
