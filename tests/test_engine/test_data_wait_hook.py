"""The share of the time in which training waits for data."""

import os
from types import SimpleNamespace

import pytest
import torch

from ibot_mm.engine import DataWaitHook
from ibot_mm.engine.hooks import data_wait_hook
from ibot_mm.engine.hooks.data_wait_hook import Instant, workers_needed
from tests.helpers.tiny_run import EPOCH, At, build_runner, log_of


class Machine:
    """A clock, and a GPU that works on what was given to it."""

    def __init__(self):
        self.now = self.busy_until = 0.

    def perf_counter(self):
        return self.now

    def give_work(self, seconds):
        self.busy_until = max(self.now, self.busy_until) + seconds

    def event(self, enable_timing):
        return Event(self)


class Event:
    """Passes when the GPU has done all that it was given before."""

    def __init__(self, machine):
        self.machine = machine

    def record(self):
        self.time = max(self.machine.now, self.machine.busy_until)

    def query(self):
        return self.machine.now >= self.time

    def elapsed_time(self, later):  # in milliseconds
        assert self.query() and later.query(), 'CUDA raises an error'
        return 1000 * (later.time - self.time)


@pytest.fixture
def machine(monkeypatch):
    machine = Machine()
    monkeypatch.setattr(data_wait_hook, 'time', machine)
    return machine


def test_on_a_cpu(machine, monkeypatch, tmp_path):
    """3 s for a batch, in the same process; 7 s for a step, then 2 s."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)

    def load(batch):
        machine.now += 3
        return torch.utils.data.default_collate(batch)

    def step(runner):
        machine.now += 7 if runner.epoch == 0 else 2

    shares = []
    hook = DataWaitHook(interval=3)
    runner = build_runner(
        tmp_path, hook,
        *[At('after_train_iter', i, step) for i in range(2 * EPOCH)],
        *[At('after_train_iter', i, lambda runner: shares.append(
            runner.message_hub.get_scalar('train/data_wait').current()))
          for i in (2, 5, 8, 11)],
        epochs=2)
    loop = runner.build_train_loop(runner._train_loop)
    loop.dataloader.collate_fn = load
    runner._train_loop = loop
    runner.train()
    assert shares == pytest.approx([0.3, 0.3, 0.6, 0.6])
    log = log_of(tmp_path)
    assert log.count('waited for data 30%') == 1  # once per epoch
    assert log.count('waited for data 60%') == 1
    assert 'num_workers to 2 instead of 0' in log
    assert f'{len(os.sched_getaffinity(0))} CPUs' in log


@pytest.mark.parametrize('data,share', [
    (0.02, 0.),  # 30 ms for the process, while the GPU computes for 50
    (0.09, 0.5),  # 100 ms, of which the GPU computes 50
])
def test_on_a_gpu(machine, monkeypatch, data, share):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'Event', machine.event)
    logged, warnings = [], []
    runner = SimpleNamespace(
        iter=0,
        train_dataloader=SimpleNamespace(num_workers=5),
        logger=SimpleNamespace(warning=warnings.append),
        message_hub=SimpleNamespace(
            update_scalar=lambda name, value: logged.append(value)))
    hook = DataWaitHook(interval=10)
    hook.before_train_epoch(runner)
    for i in range(40):
        machine.now += data
        hook.before_train_iter(runner, i)
        machine.give_work(0.05)
        machine.now += 0.01
        # The process is at most two steps ahead, as after reading a loss.
        machine.now = max(machine.now, machine.busy_until - 0.1)
        hook.after_train_iter(runner, i)
        runner.iter += 1
    assert len(logged) == 4
    assert logged == pytest.approx([share] * 4, abs=0.01)
    assert len(warnings) == (share > 0)
    assert not warnings or 'num_workers to 10 instead of 5' in warnings[0]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_instants_of_a_gpu():
    """Recorded and asked for without waiting."""
    x = torch.ones(4096, 4096, device='cuda')
    x @ x  # the first product initializes cuBLAS
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        start = Instant()
        for _ in range(100):
            x = x @ x * 0.
        end = Instant()
        assert not end.passed()
    finally:
        torch.cuda.set_sync_debug_mode('default')
    torch.cuda.synchronize()
    assert end.passed() and 1e-4 < start.seconds_until(end) < 60


@pytest.mark.parametrize('workers,share,needed', [
    (5, 0.31, 8),  # 5 / 0.69 = 7.2
    (8, 0.5, 16),
    (1, 0., 1),
    # In the process: 60 ms of loading for 40 ms of computing.
    (0, 0.6, 2),
    (4, 1., 400),
])
def test_workers_that_are_needed(workers, share, needed):
    assert workers_needed(workers, share) == needed
