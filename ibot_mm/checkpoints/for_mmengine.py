"""Let MMEngine read checkpoints through :func:`load_checkpoint`.

MMEngine falls back to unpickling whatever a file says. From the import of
this module on, it reads files, http(s) addresses and object stores here:
``load_from``, resumed checkpoints and the ``init_cfg`` of all packages.
"""

from typing import Any

from mmengine.runner.checkpoint import CheckpointLoader

from .load import load_checkpoint

# The checkpoint that was read last but not yet used by a Runner, by its path.
_read_ahead: dict[str, dict[str, Any]] = {}


def read_ahead(path: str, mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint that a Runner will ask for; it is read once.

    Arguments and errors are those of :func:`load_checkpoint`.
    """
    _read_ahead.clear()
    _read_ahead[path] = load_checkpoint(path, mmap=mmap)
    return _read_ahead[path]


def drop_log_buffers(checkpoint: dict[str, Any]) -> None:
    """Remove the averages of log lines, which are no plain values."""
    hub = checkpoint.get('message_hub')
    if isinstance(hub, dict):
        buffers = hub.get('log_scalars', {})
        keys = hub.get('resumed_keys', {})
        hub.update(log_scalars={}, resumed_keys={
            key: value for key, value in keys.items() if key not in buffers})


@CheckpointLoader.register_scheme(
    ['', 'http://', 'https://', r'(\S+\:)?s3://', r'(\S+\:)?petrel://'],
    force=True)
def load_from_weights_only(filename: str, map_location: Any = 'cpu',
                           mmap: bool = False) -> dict[str, Any]:
    """Read a checkpoint, or take the one that was read ahead.

    Arguments and errors are those of :func:`load_checkpoint`.
    """
    checkpoint = _read_ahead.pop(filename, None) or load_checkpoint(
        filename, map_location, mmap)
    drop_log_buffers(checkpoint)
    if isinstance(checkpoint.get('meta'), dict):
        checkpoint['meta'].pop('config', None)  # MMEngine would execute it
    return checkpoint
