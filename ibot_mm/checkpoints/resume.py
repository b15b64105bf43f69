"""Find the checkpoint to resume from."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mmengine.dist import all_gather_object

from .for_mmengine import read_ahead
from .load import CheckpointError, load_checkpoint


class ResumePoint(NamedTuple):
    """A checkpoint, or None, and why newer files cannot be used, by path."""

    path: str | None
    damaged: dict[str, str] = {}

    @property
    def warning(self) -> str:
        """Message about the damaged files; empty if there are none."""
        reasons = ' '.join(self.damaged.values())
        return reasons and f'{reasons} Resuming from "{self.path}" instead.'


def recorded_checkpoint(work_dir: str) -> str | None:
    """The checkpoint that ``last_checkpoint`` names; None without one.

    If the work directory was moved, it is the file of that name there.
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
    """The newest undamaged checkpoint of a work directory.

    That is the one of ``last_checkpoint``, or else, of all ``*.pth`` files
    there with the state of an optimizer, the one with most iterations.

    Raises:
        CheckpointError: There are some, but all are damaged.
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
    """Read a checkpoint for the Runner that resumes it (:func:`read_ahead`).

    Raises:
        CheckpointError: It is missing, damaged or not of a training run.
    """
    if _iteration(read_ahead(path)) is None:
        raise CheckpointError(f'"{path}" is not the state of a training run, '
                              'and cannot be resumed.')


def require_same_on_all_ranks(path: str | None) -> None:
    """Raise if ranks would resume from different checkpoints.

    They choose before they can communicate; a file system may have shown them
    different files.

    Raises:
        CheckpointError: It has.
    """
    paths = sorted({str(other) for other in all_gather_object(path)})
    if len(paths) > 1:
        raise CheckpointError(
            'the processes would resume from different checkpoints ('
            f'{", ".join(paths)}): is the work dir the same on all nodes?')


def _candidates(work_dir: str, recorded: str | None,
                damaged: dict[str, str]) -> Iterator[str]:
    """Checkpoints, the best choice first; adds to ``damaged``."""
    folders = {Path(work_dir).resolve()}
    if recorded:
        yield recorded
        folders.add(Path(recorded).parent.resolve())  # CheckpointHook.out_dir
    iterations = {}
    passed = {str(Path(path).resolve()) for path in damaged}
    found = {str(p) for folder in folders for p in folder.glob('*.pth')}
    for path in sorted(found - passed):
        try:
            state = load_checkpoint(path, mmap=True, checksums=False)
        except CheckpointError as error:
            damaged[path] = str(error)
            continue
        # Files of the best weights have no optimizer.
        if _iteration(state) is not None and 'optimizer' in state:
            iterations[path] = _iteration(state)
    # By name where last_good.pth is a second name.
    yield from sorted(iterations, key=lambda p: (-iterations[p], p))


def _iteration(state: dict[str, Any]) -> int | None:
    """Iterations of the training run that a checkpoint is of."""
    meta = state.get('meta')
    if not isinstance(meta, dict) or 'message_hub' not in state:
        return None
    return meta.get('iter')
