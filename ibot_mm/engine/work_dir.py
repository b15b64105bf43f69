"""Protect work directories that hold another run."""

from pathlib import Path

from ibot_mm.checkpoints.resume import saved_last


class WorkDirError(ValueError):
    """A work directory that belongs to another run."""


def _last_checkpoint(work_dir: str) -> Path | None:
    """The newest checkpoint in the directory, if there is one."""
    paths = [path for pattern in ('epoch_*.pth', 'iter_*.pth')
             for path in Path(work_dir).glob(pattern)
             if path.is_file() and '_backbone-' not in path.name]
    return saved_last(work_dir) or max(
        paths, key=lambda path: path.stat().st_mtime_ns, default=None)


def require_unused(work_dir: str) -> None:
    """Raise if a directory holds checkpoints of another run.

    A new run would overwrite some of them, and a restart might resume from
    the wrong one.

    Raises:
        WorkDirError: It does.
    """
    last = _last_checkpoint(work_dir)
    if last is not None:
        raise WorkDirError(
            f'"{work_dir}" already holds a run (its last checkpoint: '
            f'{last.name}): continue it with --resume, name another '
            '--work-dir, or start over with --fresh-start of tools/train.py, '
            'which moves its checkpoints to a folder in the work dir.')


def archive_run(work_dir: str, name: str) -> None:
    """Move checkpoints and reports of a run to a folder in its work dir.

    Args:
        work_dir: The directory.
        name: Name of the new folder, created if there is something to move.
    """
    source, target = Path(work_dir), Path(work_dir) / name
    for path in (*source.glob('*.pth'), source / 'last_checkpoint',
                 source / 'bad_files.txt', source / 'nonfinite',
                 source / 'pictures'):
        if path.exists():
            target.mkdir(exist_ok=True)
            path.rename(target / path.name)
