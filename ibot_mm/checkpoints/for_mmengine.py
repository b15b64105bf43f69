"""Let MMEngine read checkpoints through :func:`load_checkpoint`.

MMEngine falls back to unpickling whatever a file says. After
:func:`use_restricted_loader` it reads files, http(s) addresses and object
stores here: ``load_from``, resumed checkpoints and the ``init_cfg`` of all
packages.
"""

from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import CheckpointLoader

from .load import load_checkpoint

# The checkpoint that was read last but not yet used by a Runner, by its path.
_read_ahead: dict[str, dict[str, Any]] = {}


def use_restricted_loader() -> None:
    """Register the loader of this module with MMEngine, for this process."""
    CheckpointLoader.register_scheme(
        ['', 'http://', 'https://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'],
        load_from_weights_only, force=True)


def read_ahead(path: str, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint that a Runner will ask for; it is read once.

    Arguments and errors are those of :func:`load_checkpoint`.
    """
    use_restricted_loader()
    _read_ahead.clear()
    _read_ahead[path] = load_checkpoint(path, mmap=mmap)
    return _read_ahead[path]


def flatten_log_buffers(checkpoint: dict[str, Any]) -> None:
    """Replace the history of logged values by tensors, to be saved."""
    hub = checkpoint['message_hub']
    hub['log_scalars'] = {
        name: [torch.from_numpy(array) for array in buffer.data]
        for name, buffer in hub['log_scalars'].items()
    }


def _rebuild_log_buffers(checkpoint: dict[str, Any]) -> None:
    """Inverse of :func:`flatten_log_buffers`; those of others are removed."""
    hub = checkpoint.get('message_hub')
    if not isinstance(hub, dict):
        return
    saved = hub.get('log_scalars', {})
    buffers = {
        name: HistoryBuffer(*(tensor.cpu().numpy() for tensor in value))
        for name, value in saved.items() if isinstance(value, list)
    }
    keys = {name: value for name, value in hub.get('resumed_keys', {}).items()
            if name in buffers or name not in saved}
    hub.update(log_scalars=buffers, resumed_keys=keys)


def load_from_weights_only(filename: str, map_location: Any = 'cpu',
                           mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint, or take the one that was read ahead.

    Arguments and errors are those of :func:`load_checkpoint`.
    """
    checkpoint = _read_ahead.pop(filename, None) or load_checkpoint(
        filename, map_location, mmap)
    _rebuild_log_buffers(checkpoint)
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # MMEngine would execute it
    return checkpoint
