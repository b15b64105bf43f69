"""Keep the workers of data loaders alive when a run is told to stop."""

import multiprocessing
import os
import signal
import threading
from functools import partial
from typing import Callable, Optional

from torch.utils.data import DataLoader


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


def _shielded(init: Optional[Callable[[int], None]], worker: int) -> None:
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
