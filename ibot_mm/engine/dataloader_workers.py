"""DataLoader workers: explain their death, shield them from signals."""

import multiprocessing
import os
import re
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from mmengine.dist import get_rank
from torch.utils.data import DataLoader


class DataWorkerError(RuntimeError):
    """A DataLoader worker died."""


@contextmanager
def explained_worker_death() -> Iterator[None]:
    """Explain why a DataLoader worker died.

    PyTorch raises its error from a signal handler, wherever the process is.

    Raises:
        DataWorkerError: Names rank, pid and signal.
    """
    try:
        yield
    except RuntimeError as error:
        text = ''.join(traceback.format_exception(error))
        pid = re.search(r'DataLoader worker \(pid\S* ([\d, ]+)\)', text)
        if pid is None:
            raise
        name = re.search(r'killed by signal: (\w[\w ]*\w)', text)
        end = f'was killed: {name[1]}' if name else 'exited unexpectedly'
        raise DataWorkerError(
            f'data worker {pid[1]} of rank {get_rank()} {end}. For likely '
            'causes see docs/failures.md, "Killed data workers".') from error


def shield_workers(runner) -> None:
    """Let the workers of a run's loaders ignore signals to a process group.

    Schedulers, ``timeout`` and Ctrl-C signal all processes of a group, and a
    training needs its workers to finish its iteration.

    Args:
        runner: Its loaders must not have been iterated over.
    """
    for loop in filter(None, (runner.train_loop, runner.val_loop)):
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
    threading.Thread(target=_exit_on_parents_sigterm, daemon=True).start()
    if init is not None:
        init(worker)


def _exit_on_parents_sigterm() -> None:
    parent = multiprocessing.parent_process().pid
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)
