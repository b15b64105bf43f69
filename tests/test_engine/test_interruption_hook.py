"""Signals: a run saves, exits with code 75 and resumes exactly."""

import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from ibot_mm.checkpoints.resume import latest_checkpoint
from ibot_mm.engine import InterruptionHook
from ibot_mm.engine.dataloader_workers import _shielded
from ibot_mm.engine.hooks import interruption_hook
from tests.helpers.tiny_run import EPOCH, At, build_runner, checkpoints, log_of

ROOT = Path(__file__).parents[2]
NUMBERS = signal.SIGTERM, signal.SIGUSR1, signal.SIGINT


@pytest.fixture(autouse=True)
def heard():
    """Ctrl-C is ignored where the tests run in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def signal_at(point, step, number=signal.SIGTERM, priority='HIGH'):
    return At(point, step, lambda runner: os.kill(os.getpid(), number),
              priority)


def train(work_dir, *hooks, stopped=True, **settings):
    """Train, perhaps until a signal stops it; the last checkpoint."""
    runner = build_runner(
        work_dir, *hooks, **{'interruption': {}, **settings})
    if stopped:
        with pytest.raises(SystemExit) as end:
            runner.train()
        assert end.value.code == 75
    else:
        runner.train()
    return load(latest_checkpoint(str(work_dir)).path)


def resume(work_dir, *hooks, stopped=False, **settings):
    """Resume from the last checkpoint."""
    return train(work_dir, *hooks, stopped=stopped, resume=True,
                 load_from=latest_checkpoint(str(work_dir)).path, **settings)


def load(path):
    return torch.load(path, weights_only=False)


def state_of(checkpoint):
    return checkpoint['meta']['epoch'], checkpoint['meta']['iter']


def handlers():
    return [signal.getsignal(number) for number in NUMBERS]


@pytest.mark.parametrize('number', NUMBERS)
def test_in_the_middle_of_an_epoch(tmp_path, number):
    before = handlers()
    saved = train(tmp_path, signal_at('before_train_iter', 8, number))
    assert state_of(saved) == (1, 9)
    assert checkpoints(tmp_path) == ['epoch_1.pth', 'iter_9.pth']
    assert 'optimizer' in saved and 'param_schedulers' in saved
    assert saved['param_schedulers'][0]['last_step'] == 9
    log = log_of(tmp_path)
    assert number.name in log and '--resume' in log
    assert f'"{tmp_path}/iter_9.pth"' in log
    assert handlers() == before


def test_the_next_checkpoint_replaces_it(tmp_path):
    settings = dict(checkpoint=dict(max_keep_ckpts=1))
    train(tmp_path, signal_at('before_train_iter', 1), **settings)
    assert checkpoints(tmp_path) == ['iter_2.pth']
    steps = []
    resume(tmp_path, At('before_train_iter', 2, steps.append),
           signal_at('before_train_iter', 3), stopped=True, **settings)
    assert len(steps) == 1  # it continued with iteration 2
    assert checkpoints(tmp_path) == ['iter_4.pth']
    resume(tmp_path, signal_at('before_train_iter', 11), stopped=True,
           **settings)
    assert checkpoints(tmp_path) == ['epoch_1.pth', 'iter_12.pth']
    resume(tmp_path, **settings)
    assert checkpoints(tmp_path) == ['epoch_3.pth']


def test_at_the_end_of_an_epoch(tmp_path):
    """Before the validation, with the checkpoint that is due anyway."""
    saves = []
    saved = train(tmp_path, signal_at('before_train_iter', EPOCH - 1),
                  At('before_save_checkpoint', 6, saves.append),
                  scores=[dict(acc=1.)])
    assert state_of(saved) == (1, EPOCH)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert len(saves) == 1
    assert 'Epoch(val)' not in log_of(tmp_path)


def test_at_the_end_of_an_epoch_without_a_checkpoint(tmp_path):
    settings = dict(checkpoint=dict(interval=10))
    saved = train(tmp_path, signal_at('before_train_iter', EPOCH - 1),
                  **settings)
    assert state_of(saved) == (1, EPOCH)
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    resume(tmp_path, **settings)
    assert checkpoints(tmp_path) == ['epoch_3.pth']


def test_during_validation(tmp_path):
    saved = train(tmp_path, signal_at('before_val_epoch', 1),
                  scores=[dict(acc=1.)])
    assert state_of(saved) == (1, EPOCH + 1)


def test_gradients_are_not_lost(tmp_path):
    """Four iterations a step: the run ends after the second one."""
    saved = train(tmp_path, signal_at('before_train_iter', 4),
                  accumulation=4)
    assert state_of(saved) == (1, 8)
    assert 'iter_8.pth' in checkpoints(tmp_path)


@pytest.mark.parametrize('stop,files', [
    (7, ['iter_4.pth', 'iter_7.pth']),
    (EPOCH, ['iter_4.pth', 'iter_6.pth']),
    (11, ['iter_4.pth', 'iter_8.pth', 'iter_11.pth']),
    (12, ['iter_8.pth', 'iter_12.pth']),  # due anyway
])
def test_training_by_iterations(tmp_path, stop, files):
    """It ends like an uninterrupted one."""
    settings = dict(by_epoch=False,
                    checkpoint=dict(interval=4, max_keep_ckpts=2))
    saved = train(tmp_path / 'a', signal_at('before_train_iter', stop - 1),
                  **settings)
    assert state_of(saved) == (0, stop)
    assert checkpoints(tmp_path / 'a') == sorted(files)
    a = resume(tmp_path / 'a', **settings)
    assert checkpoints(tmp_path / 'a') == ['iter_16.pth', 'iter_18.pth']
    b = train(tmp_path / 'b', stopped=False, **settings)
    assert state_of(a) == state_of(b) == (0, 18)
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name])


@pytest.mark.parametrize('by_epoch', [True, False])
def test_a_finished_training_ends_as_usual(tmp_path, by_epoch):
    before = handlers()
    saved = train(tmp_path, signal_at('before_train_iter', 3 * EPOCH - 1),
                  stopped=False, by_epoch=by_epoch)
    assert saved['meta']['iter'] == 3 * EPOCH
    assert handlers() == before


def test_a_checkpoint_that_cannot_be_saved(tmp_path):
    """The code is the same, and the log names the one before."""
    (tmp_path / 'iter_9.pth').mkdir()
    saved = train(tmp_path, signal_at('before_train_iter', 8))
    assert state_of(saved) == (1, EPOCH)
    log = log_of(tmp_path)
    assert f'"{tmp_path}/iter_9.pth"' in log
    assert f'"{tmp_path}/epoch_1.pth"' in log.splitlines()[-1]


def test_ignored_signals_stay_ignored(tmp_path):
    """SIGINT in the background of a shell."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        train(tmp_path, signal_at('before_train_iter', 8, signal.SIGINT),
              stopped=False)
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_the_safe_checkpoints(tmp_path):
    before = handlers()
    during = []
    build_runner(
        tmp_path,
        At('before_train_iter', 0, lambda runner: during.extend(handlers())),
        epochs=1, interruption={}, checkpoint=dict(type='CheckpointHook'),
    ).train()
    assert during == before
    assert 'default_hooks.checkpoint' in log_of(tmp_path)


def test_interval_has_to_be_positive():
    with pytest.raises(ValueError, match='interval'):
        InterruptionHook(interval=0)


SIGNAL_TO_ALL = '''
import os, subprocess, sys, time
from pathlib import Path
from tests.helpers.tiny_run import At, build_runner

def signal_all(runner):  # by another process: workers obey their parent
    subprocess.run(['kill', '-s', sys.argv[2], '--', f'-{os.getpgrp()}'])
    time.sleep(0.5)

build_runner(Path(sys.argv[1]), At('before_train_iter', 8, signal_all),
             workers=2, interruption={}).train()
'''


@pytest.mark.cli
@pytest.mark.slow
@pytest.mark.parametrize('number', ['TERM', 'INT'])
def test_signal_to_all_processes(tmp_path, number):
    """Of a group, workers included, which have to survive until the end."""
    result = subprocess.run(
        [sys.executable, '-c', SIGNAL_TO_ALL, str(tmp_path), number],
        cwd=ROOT, start_new_session=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    out = result.stdout
    assert result.returncode == 75, out
    assert f'SIG{number}' in out
    assert state_of(load(tmp_path / 'iter_9.pth')) == (1, 9)
    assert 'Traceback' not in out
    assert out.count('a second Ctrl-C ends it') == 1


def hang(ready):
    _shielded(None, 0)
    ready.set()
    time.sleep(60)


def test_workers_obey_their_parent_alone():
    """It ends those that hang; otherwise it would wait forever."""
    context = multiprocessing.get_context('fork')
    ready = context.Event()
    process = context.Process(target=hang, args=(ready, ), daemon=True)
    process.start()
    assert ready.wait(30)
    for name in ('TERM', 'USR1', 'INT'):
        subprocess.run(['kill', '-s', name, str(process.pid)], check=True)
    process.join(0.5)
    assert process.is_alive()
    process.terminate()
    process.join(30)
    assert process.exitcode == 0


def test_second_ctrl_c_ends_at_once(tmp_path, monkeypatch):
    """In an iteration without end; launchers repeat the first one."""
    monkeypatch.setattr(interruption_hook, 'SAME_KEY', 0.3)
    before, pressed = handlers(), []

    def press():
        pressed.append(signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    def press_and_wait(runner):
        for delay in (0.1, 0.15, 0.2, 1.):
            threading.Timer(delay, press).start()
        for _ in range(600):
            time.sleep(0.1)

    runner = build_runner(
        tmp_path, At('before_train_iter', 8, press_and_wait), interruption={})
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    assert len(pressed) == 4  # not by what a launcher repeats
    assert checkpoints(tmp_path) == ['epoch_1.pth']
    assert handlers() == before


def no_gloo(rank):
    """A second group that connects on one of the nodes only."""

    def new_group(**kwargs):
        if rank:
            raise RuntimeError('Connect timeout [127.0.1.1]:31415')
        return object()

    dist.new_group, dist.destroy_process_group = new_group, lambda group: None


def worker(rank, folder, processes, connected):
    """Rank 1 gets a signal, in its fifth iteration."""
    os.environ['LOCAL_RANK'] = str(rank)
    if not connected:
        no_gloo(rank)
    dist.init_process_group('gloo', init_method=f'file://{folder}/store',
                            rank=rank, world_size=processes)
    build_runner(
        Path(folder) / 'run', *[signal_at('before_train_iter', 4)][:rank],
        epochs=4, interruption=dict(interval=4), launcher='pytorch',
        wrapper=dict(type='MMDistributedDataParallel', device_ids=None),
    ).train()


@pytest.mark.cli
@pytest.mark.slow
@pytest.mark.parametrize('connected', [True, False])
def test_all_ranks_end_at_the_same_iteration(tmp_path, connected):
    """With 2 ranks 3 iterations per epoch; they exchange after 4, 8, ..."""
    context = multiprocessing.get_context('spawn')
    processes = [
        context.Process(
            target=worker, args=(rank, str(tmp_path), 2, connected))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(300)
    assert [process.exitcode for process in processes] == [75, 75]
    assert checkpoints(tmp_path / 'run') == [
        'epoch_1.pth', 'epoch_2.pth', 'iter_8.pth']
    saved = load(latest_checkpoint(str(tmp_path / 'run')).path)
    assert state_of(saved) == (2, 8)
    log = log_of(tmp_path / 'run')
    assert 'SIGTERM' in log
    assert ('GLOO_SOCKET_IFNAME' in log) != connected
