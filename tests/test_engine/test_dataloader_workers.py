"""Workers of a real loader that die in all the ways they do."""

import os
import signal

import pytest
from torch.utils.data import DataLoader, Dataset

from ibot_mm.engine.dataloader_workers import (
    DataWorkerError,
    explained_worker_death,
)


class Deadly(Dataset):
    """Loading sample 3 ends the process."""

    def __init__(self, end):
        self.end = end

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 3:
            self.end()
        return index


def kill(name):
    return lambda: os.kill(os.getpid(), signal.Signals[name])


def iterate(end):
    """Iterate over a loader; the pid of its worker."""
    loader = DataLoader(Deadly(end), batch_size=2, num_workers=1)
    batches = iter(loader)
    pid = batches._workers[0].pid
    try:
        with explained_worker_death():
            list(batches)
    except Exception as error:
        error.pid = pid
        raise


@pytest.mark.parametrize('end,name', [
    (kill('SIGKILL'), ' Killed'),
    (kill('SIGBUS'), ' Bus error'),
    (kill('SIGABRT'), ' Aborted'),
    (lambda: os._exit(3), 'exited unexpectedly'),
])
def test_rank_pid_and_signal_are_named(end, name):
    with pytest.raises(DataWorkerError) as error:
        iterate(end)
    message = str(error.value)
    assert f'{error.value.pid} of rank 0' in message and name in message
    assert 'docs/failures.md' in message


def test_other_errors_stay_what_they_are():
    def fail():
        raise RuntimeError('a file is bad')

    with pytest.raises(RuntimeError, match='a file is bad') as error:
        iterate(fail)
    assert not isinstance(error.value, DataWorkerError)
