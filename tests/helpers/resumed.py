"""Runs that are stopped in the middle of an epoch, and resumed."""

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from . import launched
from .launched import EPOCH, losses

EPOCHS = 3
STOP = 10  # in the middle of the second epoch
LAST = f'iter_{EPOCHS * EPOCH}.pth'


def resumable_config(path: Path, data: Path, processes: int,
                     text: str = '') -> Path:
    """Drop path, accumulation, validation and a worker that persists."""
    return launched.tiny_config(path, data, f'''
model['backbone']['drop_path_rate'] = 0.3
train_cfg = dict(max_epochs={EPOCHS}, val_interval=1)
optim_wrapper = dict(accumulative_counts=2)
default_hooks.update(
    training_health=dict(interval=6),
    checkpoint=dict(interval={STOP}, by_epoch=False, max_keep_ckpts=-1))
{text}''', batch_size=8 // processes, num_workers=1)


def start(config: Path, work_dir: Path, processes: int,
          *args) -> subprocess.Popen:
    """Start a training in processes of its own."""
    launcher = [sys.executable, 'tools/train.py', config]
    if processes > 1:
        launcher = ['bash', 'tools/dist_train.sh', config, processes]
    return launched.start(*launcher, '--work-dir', work_dir, *args)


def terminate(process: subprocess.Popen, work_dir: Path, code: int) -> None:
    """Send SIGTERM in the second epoch."""
    while max(losses(work_dir), default=0) < EPOCH:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == code, out
    assert 'SIGTERM: the run ends after iteration' in out


def resumed_iteration(output: str) -> int:
    """Iteration that a run says it was resumed from."""
    return int(re.search(r'resumed epoch: \d, iter: (\d+)', output)[1])


def bit_by_bit(a: torch.Tensor, b: torch.Tensor, path: str) -> None:
    """Assert that two tensors are equal."""
    assert torch.equal(a, b), path


def same(a, b, path: str = '', tensors: Callable = bit_by_bit) -> None:
    """Assert equality in any nesting; ``tensors`` compares two of them."""
    if isinstance(a, torch.Tensor):
        tensors(a, b, path)
    elif isinstance(a, dict):
        assert list(a) == list(b), path
        for key in a:
            same(a[key], b[key], f'{path}/{key}', tensors)
    elif isinstance(a, (list, tuple)):
        assert len(a) == len(b), path
        for i, (x, y) in enumerate(zip(a, b)):
            same(x, y, f'{path}/{i}', tensors)
    else:
        assert a == b, path


def load(path: Path) -> dict:
    """A whole checkpoint."""
    return torch.load(path, weights_only=False)


def assert_same_end(folder: Path, other: Path,
                    compare: Callable = same) -> None:
    """Assert that the last checkpoints of two runs hold the same state."""
    a, b = load(folder / LAST), load(other / LAST)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        compare(a[part], b[part], part)
    assert a['meta']['iter'] == b['meta']['iter'] == EPOCHS * EPOCH
    assert a['meta']['epoch'] == b['meta']['epoch']


def assert_same_iterations(resumed: Path, expected: Path) -> None:
    """Assert that the log after ``STOP`` is that of the undisturbed run."""
    found, wanted = losses(resumed), losses(expected)
    assert sorted(found) == list(range(STOP + 1, EPOCHS * EPOCH + 1))
    for iteration, values in found.items():
        assert values == wanted[iteration], iteration
