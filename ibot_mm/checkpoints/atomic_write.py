"""Files that are there whole or not at all."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

# Name of the backend, for ``backend_args`` of MMEngine.
ATOMIC_BACKEND = 'ibot_mm.atomic'
# What a name ends with while its file is written.
INCOMPLETE = '.incomplete'


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under another name, and rename it when it is whole.

    The content is on the disk before the name is: neither a kill nor a power
    failure leaves a part of it.

    Args:
        path: The file, replaced if it is there.

    Yields:
        Where to write: in the same folder, since a file cannot be renamed
        from one file system to another.

    Raises:
        OSError: Named after ``path``, which is as it was before; what was
            written is removed.
    """
    part = path.with_name(path.name + INCOMPLETE)
    try:
        yield part
        _sync(part)
        os.replace(part, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)
    # The file is whole by now, and some file systems cannot sync folders.
    with suppress(OSError):
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Wait until a file or the names in a folder are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove_incomplete(folder: str | Path) -> None:
    """Remove what killed runs left in a folder."""
    for part in Path(folder).glob(f'*{INCOMPLETE}'):
        part.unlink(missing_ok=True)


@register_backend(ATOMIC_BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written by :func:`atomic_write`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, in a new folder if need be."""
        with atomic_write(Path(filepath)) as part:
            super().put(obj, part)
