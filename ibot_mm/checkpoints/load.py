"""Read checkpoints without running code from them."""

import os
import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from mmengine.fileio import get_local_path
from mmengine.utils import digit_version

from .download import local_copy
from .placeholders import ALLOWED

# Environment variable; "1" lets files run code and skips their checksums.
TRUST = 'IBOT_MM_TRUST_CHECKPOINT'


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, unsafe or of another model."""


def _unpickle(path: str, map_location: Any, mmap: bool) -> Any:
    if os.environ.get(TRUST) == '1':
        return torch.load(path, map_location, weights_only=False, mmap=mmap)
    if digit_version(torch.__version__) < digit_version('2.6'):
        from .old_pytorch import restricted_load
        return restricted_load(path, map_location, mmap)
    # Classes that other packages allow could take the place of stand-ins.
    others = torch.serialization.get_safe_globals()
    torch.serialization.clear_safe_globals()
    torch.serialization.add_safe_globals(
        [(stand_in, name) for name, stand_in in ALLOWED.items()])
    try:
        return torch.load(path, map_location, weights_only=True, mmap=mmap)
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(others)


def _check_sums(path: str) -> None:
    """Compare all bytes with the CRCs of the archive; PyTorch does not."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged:
        raise OSError(f'{damaged} in it has another checksum')


def _reason(error: Exception) -> str:
    if isinstance(error, pickle.UnpicklingError):
        error = error.__context__ or error  # PyTorch adds advice to it
    unknown = re.search(r'GLOBAL (\S+)', str(error))
    if unknown:
        return (f'names "{unknown[1]}", which is no part of a checkpoint and '
                'may run code: save its weights as plain tensors or, if you '
                f'trust the file, set {TRUST}=1 (--trust-checkpoint).')
    text = str(error).strip() or type(error).__name__
    if isinstance(error, (OSError, ValueError, ImportError)):
        return f'cannot be read ({text.splitlines()[0]}).'
    return ('cannot be read as a PyTorch checkpoint '
            f'({text.splitlines()[0]}): is it complete, and not a web page?')


def load_checkpoint(path: str, map_location: Any = 'cpu', mmap: bool = False,
                    checksums: bool = True) -> dict[str, Any]:
    """Read a checkpoint with PyTorch's restricted unpickler.

    Args:
        path: File, address (:func:`~.download.local_copy`), or folder of
            Hugging Face (:func:`~.huggingface_folder.read_folder`).
        map_location: As of ``torch.load``.
        mmap: Read the tensors when they are used, not now.
        checksums: Whether to verify those of the tensors.

    Returns:
        Tensors, containers and plain values. NumPy scalars are Python's;
        NumPy arrays and log buffers are placeholders.

    Raises:
        CheckpointError: The file is missing, damaged or no checkpoint, or
            might run code.
    """
    if Path(path).expanduser().is_dir():
        from .huggingface_folder import read_folder
        return read_folder(os.path.expanduser(path))
    try:
        with get_local_path(local_copy(path)) as local:
            zipped = Path(local).is_file() and zipfile.is_zipfile(local)
            if zipped and checksums and os.environ.get(TRUST) != '1':
                _check_sums(local)
            state = _unpickle(str(local), map_location, mmap and zipped)
    except FileNotFoundError as error:
        raise CheckpointError(f'there is no checkpoint "{path}".') from error
    except Exception as error:  # of pickle, ZIP archives, disks, networks
        raise CheckpointError(f'"{path}" {_reason(error)}') from error
    if not isinstance(state, dict):
        raise CheckpointError(f'"{path}" holds a {type(state).__name__}, not '
                              'a checkpoint.')
    return state
