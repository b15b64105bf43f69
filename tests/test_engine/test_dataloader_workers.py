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
    loader = DataLoader(Deadly(end), batch_size=2, num_workers=1)
    with explained_worker_death(loader):
        list(loader)


@pytest.mark.parametrize('end,words', [
    (kill('SIGKILL'), r'was killed: Killed; .* ran out of memory \(of '
     r"the machine's [\d.]+ GiB now [\d.]+ are free\): lower "
     r'train_dataloader.num_workers '
     r'\(1\), prefetch_factor \(2\) or batch_size \(2\)'),
    (kill('SIGBUS'), r'was killed: Bus error; /dev/shm is most likely full '
     r'\(now [\d.]+ of [\d.]+ GiB are free\): .*--shm-size'),
    (kill('SIGABRT'), 'was killed: Aborted; a library .* crashed .* '
     'train_dataloader.num_workers=0'),
    (lambda: os._exit(3), 'is gone; .* look at the system log'),
])
def test_the_likely_cause_is_told(end, words):
    with pytest.raises(DataWorkerError, match=r'Data loading process \d+ of '
                       'rank 0 ' + words):
        iterate(end)


def test_other_errors_stay_what_they_are():
    def fail():
        raise RuntimeError('a file is bad')

    with pytest.raises(RuntimeError, match='a file is bad') as error:
        iterate(fail)
    assert not isinstance(error.value, DataWorkerError)
