"""Atomic file writes."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend

# Name of the backend, for ``backend_args`` of MMEngine.
ATOMIC_BACKEND = 'ibot_mm.atomic'
# Suffix of a file while it is written.
INCOMPLETE = '.incomplete'


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Write a file under a temporary name, sync it, then rename it.

    Neither a kill nor a power failure leaves an incomplete file.

    Args:
        path: The file; replaced if it exists.

    Yields:
        Temporary path in the same folder.

    Raises:
        OSError: ``path`` is unchanged and the temporary file is removed; the
            error's ``filename`` is ``path``.
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
    # The file is complete by now, and some file systems cannot sync folders.
    with suppress(OSError):
        _sync(path.parent)


def _sync(path: Path) -> None:
    """Flush a file, or the entries of a folder, to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def hard_link(source: Path, target: Path) -> None:
    """Link a file, atomically; copy it if the file system has no links."""
    with atomic_write(target) as part:
        part.unlink(missing_ok=True)
        try:
            os.link(source, part)
        except OSError:
            shutil.copy(source, part)


def remove_incomplete(folder: str | Path) -> None:
    """Remove temporary files that killed runs left in a folder."""
    for part in Path(folder).glob(f'*{INCOMPLETE}'):
        part.unlink(missing_ok=True)


@register_backend(ATOMIC_BACKEND, force=True)
class AtomicLocalBackend(LocalBackend):
    """MMEngine's local files, written by :func:`atomic_write`."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file; the folder is created if needed."""
        with atomic_write(Path(filepath)) as part:
            super().put(obj, part)
