"""Let MMEngine read checkpoints through :func:`load_checkpoint`.

MMEngine falls back to unpickling whatever a file says. After
:func:`use_restricted_loader` it reads files, addresses, object stores and
model zoos here: ``load_from``, resumed checkpoints and the ``init_cfg`` of all
packages.
"""

import os
from typing import Any

import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner.checkpoint import (
    CheckpointLoader,
    _get_mmengine_home,
    get_external_models,
    get_mmcls_models,
    get_torchvision_models,
)
from torch import Tensor

from .load import load_checkpoint

# Tables of addresses by name, by scheme.
MODEL_ZOOS = {
    'modelzoo://': get_torchvision_models,
    'torchvision://': get_torchvision_models,
    'open-mmlab://': get_external_models,
    'openmmlab://': get_external_models,
    'mmcls://': get_mmcls_models,
}
# The checkpoint that was read last but not yet used by a Runner, by its path.
_read_ahead: dict[str, dict[str, Any]] = {}


def use_restricted_loader() -> None:
    """Register the loader of this module with MMEngine, for this process."""
    CheckpointLoader.register_scheme(
        ['', 'http://', 'https://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://',
         'pavi://', *MODEL_ZOOS],
        load_from_weights_only, force=True)


def read_ahead(path: str) -> dict[str, Any]:
    """Read a checkpoint that a Runner will ask for; it is read once.

    Its tensors stay on the disk until then. Arguments and errors are those of
    :func:`load_checkpoint`.
    """
    use_restricted_loader()
    _read_ahead.clear()
    _read_ahead[path] = load_checkpoint(path, mmap=True)
    return _read_ahead[path]


def flatten_log_buffers(checkpoint: dict[str, Any]) -> None:
    """Replace the history of logged values by tensors, to be saved."""
    hub = checkpoint['message_hub']
    hub['log_scalars'] = {
        name: [torch.from_numpy(array) for array in buffer.data]
        for name, buffer in hub['log_scalars'].items()
    }


def _rebuild_log_buffers(checkpoint: dict[str, Any]) -> None:
    """Inverse of :func:`flatten_log_buffers`; placeholders are removed."""
    hub = checkpoint.get('message_hub')
    if not isinstance(hub, dict):
        return
    saved = hub.get('log_scalars', {})
    buffers = {
        name: HistoryBuffer(*(tensor.cpu().numpy() for tensor in value))
        if isinstance(value, list) else value
        for name, value in saved.items()
        if isinstance(value, (list, HistoryBuffer))
    }
    keys = {name: value for name, value in hub.get('resumed_keys', {}).items()
            if name in buffers or name not in saved}
    hub.update(log_scalars=buffers, resumed_keys=keys)


def _copied(value: Any, device: Any) -> Any:
    """Tensors copied to a device, in the same containers."""
    if isinstance(value, Tensor):
        return value.detach().to(device, copy=True)
    if isinstance(value, dict):
        for key in value:
            value[key] = _copied(value[key], device)
    elif isinstance(value, list):
        value[:] = [_copied(item, device) for item in value]
    return value


def load_from_weights_only(filename: str, map_location: Any = 'cpu',
                           mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint, or take the one that was read ahead.

    Arguments and errors are those of :func:`load_checkpoint`.
    """
    scheme, _, name = filename.rpartition('://')
    if f'{scheme}://' in MODEL_ZOOS:
        addresses = MODEL_ZOOS[f'{scheme}://']()
        # An address, or a path in MMEngine's folder.
        filename = os.path.join(_get_mmengine_home(),
                                addresses.get(name, name))
    checkpoint = _read_ahead.pop(filename, None)
    if checkpoint is None:
        checkpoint = load_checkpoint(filename, map_location, mmap)
    elif not mmap:
        # Rank 0 may delete the file while the others train.
        checkpoint = _copied(checkpoint, map_location)
    _rebuild_log_buffers(checkpoint)
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # MMEngine would execute it
    return checkpoint
