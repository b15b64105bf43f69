"""Say why a process that loads data is gone."""

import re
import shutil
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator

from mmengine.dist import get_rank
from torch.utils.data import DataLoader

RESTART = ' Then go on with --resume.'


class DataWorkerError(RuntimeError):
    """A process of the data loader was killed."""


def _memory() -> str:
    """Memory that the machine has left, from Linux."""
    try:
        lines = Path('/proc/meminfo').read_text().splitlines()
    except OSError:
        return ''
    kib = {key: int(rest.split()[0])
           for key, rest in (line.split(':') for line in lines)}
    if 'MemAvailable' not in kib:
        return ''
    return (f' (of the machine\'s {kib["MemTotal"] / 2**20:.1f} GiB now '
            f'{kib["MemAvailable"] / 2**20:.1f} are free)')


def _shared_memory() -> str:
    try:
        total, _, free = shutil.disk_usage('/dev/shm')
    except OSError:
        return ''
    return f' (now {free / 2**30:.1f} of {total / 2**30:.1f} GiB are free)'


def likely_cause(signal_name: str, loader: DataLoader) -> str:
    """What usually kills workers so, and what to do.

    Args:
        signal_name: Name of the signal as PyTorch gives it; empty if unknown.
        loader: The loader, whose settings the advice names.
    """
    fewer = (f'train_dataloader.num_workers ({loader.num_workers}), '
             f'prefetch_factor ({loader.prefetch_factor}) or batch_size '
             f'({loader.batch_size})')
    if signal_name == 'Killed':
        return ("the kernel (or the container's or the job's limit) most "
                f'likely ran out of memory{_memory()}: lower {fewer}, or ask '
                f'for more memory.{RESTART}')
    if signal_name == 'Bus error':
        return (f'/dev/shm is most likely full{_shared_memory()}: give the '
                f'container more (docker run --shm-size), or lower {fewer}.'
                f'{RESTART}')
    if signal_name in ('Segmentation fault', 'Aborted', 'Illegal instruction',
                       'Floating point exception'):
        return ('a library that decodes or changes images most likely crashed '
                'on a file: find it with train_dataloader.num_workers=0 and '
                'train_dataloader.persistent_workers=False, where the crash '
                'shows in the process itself.')
    return ('somebody ended it, or it ended itself: look at the system log '
            f'(dmesg, journalctl) of this time.{RESTART}')


@contextmanager
def explained_worker_death(loader: DataLoader) -> Iterator[None]:
    """Explain the end of a worker of a loader in one sentence.

    PyTorch raises its error wherever the process is when it hears of it.

    Args:
        loader: Loader that is iterated over meanwhile.

    Raises:
        DataWorkerError: A worker is gone.
    """
    try:
        yield
    except RuntimeError as error:
        texts, link = [], error
        while link is not None:
            texts.append(str(link))
            link = link.__cause__ or link.__context__
        text = '\n'.join(texts)
        pid = re.search(r'DataLoader worker \(pid\S* ([\d, ]+)\)', text)
        if pid is None:
            raise
        signal = re.search(r'killed by signal: ([\w ]+)', text)
        name = signal.group(1).strip() if signal else ''
        raise DataWorkerError(
            f'Data loading process {pid.group(1)} of rank {get_rank()} '
            f'{"was killed: " + name if name else "is gone"}; '
            f'{likely_cause(name, loader)}') from error
