"""Workers of data loaders: explain their death, shield them from signals."""

import multiprocessing
import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

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


def shield_workers(runner) -> None:
    """Let the workers of a run's loaders ignore signals to all processes.

    A scheduler, ``timeout`` or Ctrl-C may signal a whole process group. A
    training that is to finish its iteration needs its workers for that.

    Args:
        runner: Whose loaders have not been iterated over.
    """
    loops = [runner.train_loop, runner.val_loop]
    for loop in filter(None, loops):
        for loader in vars(loop).values():
            if isinstance(loader, DataLoader):
                loader.worker_init_fn = partial(_shielded,
                                                loader.worker_init_fn)


def _shielded(init: Callable[[int], None] | None, worker: int) -> None:
    """``worker_init_fn`` of a shielded worker."""
    for number in (signal.SIGINT, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    # PyTorch and Python end workers that hang with SIGTERM.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    threading.Thread(target=_obey_parent, daemon=True).start()
    if init is not None:
        init(worker)


def _obey_parent() -> None:
    """End this process when the one that started it says so."""
    parent = multiprocessing.parent_process().pid
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
