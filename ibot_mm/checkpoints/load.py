"""Read checkpoints without running code from them."""

import argparse
import pickle
import struct
from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

_ALLOWED = {
    ('argparse', 'Namespace'),
    ('builtins', 'set'),
    ('collections', 'OrderedDict'),
    ('torch', 'Size'),
    ('torch', 'device'),
    ('torch._utils', '_rebuild_parameter'),
    ('torch._utils', '_rebuild_tensor_v2'),
}


class CheckpointError(ValueError):
    """A file that is not the checkpoint it should be."""


class Ignored:
    """Stands for an object of a class that is not let in."""

    def __new__(cls, *args, **kwargs) -> 'Ignored':
        return super().__new__(cls)

    def __init__(self, *args, **kwargs) -> None:
        pass

    def __call__(self, *args, **kwargs) -> 'Ignored':
        return Ignored()

    def __setstate__(self, state) -> None:
        pass

    def __setitem__(self, key, value) -> None:
        pass

    def append(self, value) -> None:
        """Items of list-like objects."""

    def extend(self, values) -> None:
        """The same."""


class NumpyType:
    """Stands for the type of NumPy numbers and texts."""

    def __init__(self, code: str, *args) -> None:
        self.code = code

    def __setstate__(self, state: tuple) -> None:
        pass


def _numpy_number(kind: Any = None, data: Any = None, *args) -> Any:
    """A NumPy number as a plain one; official files have such rates."""
    forms = dict(f8='<d', f4='<f', i8='<q', i4='<i')
    if isinstance(kind, NumpyType) and isinstance(data, bytes):
        form = forms.get(kind.code)
        if form and len(data) == struct.calcsize(form):
            return struct.unpack(form, data)[0]
    return Ignored()


def _latin_bytes(text: Any = '', *args) -> bytes:
    """How old pickles write bytes."""
    return text.encode('latin1') if isinstance(text, str) else b''


_REPLACED = {
    ('_codecs', 'encode'): _latin_bytes,
    ('numpy', 'dtype'): NumpyType,
    ('numpy.core.multiarray', 'scalar'): _numpy_number,
    ('numpy._core.multiarray', 'scalar'): _numpy_number,
}


class SafeUnpickler(pickle._Unpickler):
    """Builds tensors and containers; everything else becomes ``Ignored``.

    Training checkpoints hold, beside the weights, log buffers whose pickles
    call ``getattr``, and official ones their command line: both must be
    readable, and neither may run anything. It is Python's unpickler in
    Python, since that in C lets a file set attributes of classes and
    functions.
    """

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        # PyTorch itself looks up the other storages.
        is_type = module == 'torch' and (
            name == 'UntypedStorage'
            or isinstance(getattr(torch, name, None), torch.dtype))
        if (module, name) in _ALLOWED or is_type:
            return super().find_class(module, name)
        return _REPLACED.get((module, name), Ignored)

    def load_build(self) -> None:
        """Give an object its state, if it is one that may have one."""
        state, target = self.stack[-1], self.stack[-2]
        plain = type(target) in (OrderedDict, argparse.Namespace)
        if not (isinstance(state, dict) if plain else isinstance(
                target, (Ignored, NumpyType))):
            raise CheckpointError(
                f'was not read: it would change {target!r}, which may be an '
                'attack.')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def require_file(path: str) -> None:
    """Refuse a checkpoint that is not there.

    Raises:
        CheckpointError: There is no such file.
    """
    if not Path(path).is_file():
        raise CheckpointError(f'there is no checkpoint "{path}".')


def _is_torchscript(path: str) -> bool:
    """Whether ``torch.load`` would run the file as a program."""
    try:
        # Its own reader: others may find another table of contents.
        return 'constants.pkl' in torch._C.PyTorchFileReader(
            path).get_all_records()
    except RuntimeError:  # no zip archive
        return False


def read_with(unpickler: type['SafeUnpickler'], path: str,
              mmap: bool) -> Any:
    """Contents of a file of ``torch.save`` on the CPU.

    Args:
        unpickler: What takes its pickles apart.
        path: A local file.
        mmap: Read the tensors when they are used, not now.

    Raises:
        CheckpointError: The file is missing or not a checkpoint.
    """
    require_file(path)
    if _is_torchscript(path):
        raise CheckpointError(f'"{path}" is a TorchScript program, not a '
                              'checkpoint.')
    module = SimpleNamespace(
        Unpickler=unpickler,
        load=lambda file, **kwargs: unpickler(file, **kwargs).load(),
        __name__=unpickler.__module__)
    try:
        return torch.load(
            path, 'cpu', pickle_module=module, weights_only=False, mmap=mmap)
    except CheckpointError as error:
        raise CheckpointError(f'"{path}" {error}') from error
    except Exception as error:  # zip, pickle and I/O errors of many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f'"{path}" cannot be read as a PyTorch checkpoint ({reason}): is '
            'it complete, and not a web page?') from error


def load_checkpoint(path: str, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint on the CPU.

    Args:
        path: File of ``torch.save``, ours or the official code's. Objects
            other than tensors, containers and plain values are left out.
        mmap: Read the tensors when they are used, not now.

    Raises:
        CheckpointError: The file is missing or not a checkpoint.
    """
    state = read_with(SafeUnpickler, path, mmap)
    if not isinstance(state, dict):
        raise CheckpointError(f'"{path}" holds a {type(state).__name__}, not '
                              'a checkpoint.')
    return state
