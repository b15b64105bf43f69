"""Find the checkpoint that an interrupted run goes on from."""

import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mmengine.dist import all_gather_object

from .load import CheckpointError, load_checkpoint


class ResumePoint(NamedTuple):
    """What :func:`latest_checkpoint` finds."""

    path: str | None
    """The checkpoint; None: there is none."""
    damaged: dict[str, str] = {}
    """Why files that come before it cannot be used, by path."""

    @property
    def warning(self) -> str:
        """What to tell the user; empty if nothing is damaged."""
        reasons = ' '.join(self.damaged.values())
        return reasons and f'{reasons} Going on from "{self.path}" instead.'


def recorded_checkpoint(work_dir: str) -> str | None:
    """The checkpoint that ``last_checkpoint`` names; None without one.

    It is looked for in the work directory where it is not at its path any
    more: the directory may have been moved.
    """
    record = Path(work_dir) / 'last_checkpoint'
    path = record.read_text().strip() if record.is_file() else ''
    moved = Path(work_dir, Path(path).name)
    if path and not Path(path).is_file() and moved.is_file():
        return str(moved)
    return path or None


def saved_last(work_dir: str) -> Path | None:
    """The checkpoint that was saved last, if it is there."""
    path = recorded_checkpoint(work_dir)
    return Path(path) if path and Path(path).is_file() else None


def latest_checkpoint(work_dir: str) -> ResumePoint:
    """The newest checkpoint of a work directory that is whole.

    That is the one of ``last_checkpoint``, or else, of all ``*.pth`` files
    there with the state of an optimizer, the one with most iterations.

    Raises:
        CheckpointError: There are some, but none is whole.
    """
    recorded = recorded_checkpoint(work_dir)
    damaged: dict[str, str] = {}
    for path in _candidates(work_dir, recorded, damaged):
        try:
            verify_checkpoint(path)
            return ResumePoint(path, damaged)
        except CheckpointError as error:
            damaged[path] = str(error)
    if damaged:
        raise CheckpointError(f'"{work_dir}" has no checkpoint to resume: ' +
                              ' '.join(damaged.values()))
    return ResumePoint(None)


def verify_checkpoint(path: str) -> None:
    """Refuse a file that a training cannot be resumed from.

    Its list of contents has to be there (it is the end of the file) and each
    of them, in full, has to have the checksum that it was written with.
    PyTorch looks at no checksum: it would load zeros or turned bits. This
    takes 0.4 s for a GB, and the file is about to be read anyway.

    Args:
        path: A local file; another address is not looked at.

    Raises:
        CheckpointError: It is missing, damaged or not of a training.
    """
    if '://' in path:
        return
    if _iteration(load_checkpoint(path, mmap=True)) is None:
        raise CheckpointError(f'"{path}" is not the state of a training, and '
                              'cannot be resumed.')
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except (zipfile.BadZipFile, EOFError, OSError) as error:
        bad = str(error)
    if bad:
        raise CheckpointError(f'"{path}" is damaged ({bad} is not what was '
                              'written).')


def require_same_on_all_ranks(path: str | None) -> None:
    """Let no process go on from another checkpoint than the others.

    They choose before they can talk to each other, by the same rule. A file
    system may still have shown them different files.

    Raises:
        CheckpointError: It has.
    """
    paths = sorted({str(other) for other in all_gather_object(path)})
    if len(paths) > 1:
        raise CheckpointError(
            'the processes would go on from different checkpoints ('
            f'{", ".join(paths)}): is the work dir the same on all nodes?')


def _candidates(work_dir: str, recorded: str | None,
                damaged: dict[str, str]) -> Iterator[str]:
    """Checkpoints of a training, the best choice first.

    Those that cannot be read at all are added to ``damaged``.
    """
    if recorded:
        yield recorded
    # Where out_dir of CheckpointHook is set they are in another folder.
    folders = {Path(work_dir)}
    if recorded:
        folders.add(Path(recorded).parent)
    iterations = {}
    for path in sorted({str(p) for f in folders for p in f.glob('*.pth')}):
        if path in damaged:
            continue
        try:
            state = load_checkpoint(path, mmap=True)
        except CheckpointError as error:
            damaged[path] = str(error)
            continue
        # Files of the best weights have no optimizer.
        iteration = _iteration(state)
        if iteration is not None and 'optimizer' in state:
            iterations[path] = iteration
    # By name where last_good.pth is a second name.
    yield from sorted(iterations, key=lambda p: (-iterations[p], p))


def _iteration(state: dict) -> int | None:
    """Iterations that a checkpoint of a training has behind it."""
    meta = state.get('meta')
    if not isinstance(meta, dict) or 'message_hub' not in state:
        return None
    return meta.get('iter')
