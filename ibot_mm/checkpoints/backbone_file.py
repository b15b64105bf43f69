"""Files of a backbone alone, named by their hash."""

import hashlib
from io import BytesIO
from pathlib import Path
from typing import Any

import torch

from .atomic_write import atomic_write
from .official.state_dict import State


def write_backbone(state: State, target: Path,
                   checkpoint: dict[str, Any]) -> Path:
    """Write weights with the hash of the file in its name, atomically.

    ``mim`` and the publishing tools of OpenMMLab name files so, and PyTorch
    verifies such names of downloads.

    Args:
        state: Weights under ``backbone.*``, and ``neck.*`` if wanted.
        target: Path of the file without the hash.
        checkpoint: Where they are from; the config of its run, which has what
            weights do not show, is kept.

    Returns:
        Path of the file: ``<stem>-<first 8 digits of its SHA-256>.pth``.

    Raises:
        OSError: It cannot be written.
    """
    meta = checkpoint.get('meta') or {}
    kept = {key: meta[key] for key in ('cfg', ) if key in meta}
    buffer = BytesIO()
    torch.save(dict(state_dict=state, meta=kept), buffer)
    content = buffer.getbuffer()
    digest = hashlib.sha256(content).hexdigest()[:8]
    path = target.with_name(f'{target.stem}-{digest}.pth')
    with atomic_write(path) as part:
        part.write_bytes(content)
    return path
