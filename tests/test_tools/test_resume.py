"""A run that is interrupted anywhere ends as one that is not."""

import re
import signal
import sys
import time
from pathlib import Path

import pytest
import torch

from ibot_mm.engine.loops.pretrain_loop import iteration_seed
from tests.helpers import launched
from tests.helpers.builders import TINY_MODEL

ROOT = Path(__file__).parents[2]
EPOCH = 6  # iterations
STOP = 10  # in the middle of the second epoch of three


def launch(config, work_dir, processes, *args):
    launcher = [sys.executable, ROOT / 'tools' / 'train.py', config]
    if processes > 1:
        launcher = ['bash', ROOT / 'tools' / 'dist_train.sh', config,
                    str(processes)]
    return launched.start(*launcher, '--work-dir', work_dir, *args)


def start(*args):
    process = launch(*args)
    out, _ = process.communicate()
    assert process.returncode == 0, out
    return out


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return launched.make_images(tmp_path_factory.mktemp('data'))


def write_config(folder, data, processes):
    """Drop path, accumulation, validation and a worker that persists."""
    model = dict(TINY_MODEL)
    path = folder / 'tiny.py'
    path.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')]
model = {model}
model['backbone']['drop_path_rate'] = 0.3
loader = dict(batch_size={8 // processes}, num_workers=1,
              persistent_workers=True, dataset=dict(data_root='{data}'))
train_dataloader = loader
val_dataloader = loader
val_cfg = dict(bank_dataloader=loader, k=[5, 1])
train_cfg = dict(max_epochs=3, val_interval=1)
optim_wrapper = dict(accumulative_counts=2)
default_hooks = dict(
    runtime_info=dict(interval=1),
    logger=dict(interval=1),
    training_health=dict(interval=6),
    checkpoint=dict(interval={STOP}, by_epoch=False, max_keep_ckpts=-1),
    teacher_temperature=dict(warmup_epochs=2))
''')
    return path


def losses(work_dir):
    """{iteration: values} of the logs of a work dir."""
    return {
        entry['iter']: {
            k: v for k, v in entry.items()
            if k.startswith(('loss', 'lr', 'momentum', 'teacher', 'weight'))
        }
        for entry in launched.logged(work_dir)
    }


def bit_by_bit(a, b, path):
    assert torch.equal(a, b), path


def same(a, b, path='', tensors=bit_by_bit):
    """Equal in any nesting; ``tensors`` compares two of them."""
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


@pytest.mark.parametrize('processes', [
    1, pytest.param(2, marks=pytest.mark.slow)])
def test_resuming_in_the_middle_of_an_epoch(data, tmp_path, processes):
    """Drop path, samples, crops, optimizer, schedules: bit by bit."""
    config = write_config(tmp_path, data, processes)
    full, resumed = tmp_path / 'full', tmp_path / 'resumed'
    start(config, full, processes)
    start(config, resumed, processes, '--resume', full / f'iter_{STOP}.pth')
    expected, found = losses(full), losses(resumed)
    assert sorted(found) == list(range(STOP + 1, 3 * EPOCH + 1))
    for iteration, values in found.items():
        assert values == expected[iteration], iteration
    a, b = (torch.load(folder / f'iter_{3 * EPOCH}.pth', weights_only=False)
            for folder in (full, resumed))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        same(a[part], b[part], part)
    assert a['meta']['iter'] == b['meta']['iter'] == 3 * EPOCH


@pytest.mark.slow
@pytest.mark.parametrize('processes,code', [(1, 75), (2, 1)])
def test_a_signal_and_a_restart(data, tmp_path, processes, code):
    """In the second epoch; torchrun has a code of its own."""
    config = write_config(tmp_path, data, processes)
    full, broken = tmp_path / 'full', tmp_path / 'broken'
    start(config, full, processes)
    process = launch(config, broken, processes, '--resume', '--cfg-options',
                     'default_hooks.interruption.interval=2')
    while max(losses(broken), default=0) < EPOCH:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == code, out
    assert 'SIGTERM: the run ends after iteration' in out
    out = start(config, broken, processes, '--resume')
    resumed = int(re.search(r'resumed epoch: \d, iter: (\d+)', out)[1])
    assert EPOCH <= resumed < 3 * EPOCH and resumed % 2 == 0
    a, b = (torch.load(folder / f'iter_{3 * EPOCH}.pth', weights_only=False)
            for folder in (full, broken))
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        same(a[part], b[part], part)


def test_another_batch_restarts_the_epoch(data, tmp_path):
    config = write_config(tmp_path, data, 1)
    full, resumed = tmp_path / 'full', tmp_path / 'resumed'
    start(config, full, 1, '--cfg-options', 'train_cfg.max_epochs=2',
          'optim_wrapper.accumulative_counts=1')
    out = start(config, resumed, 1, '--resume', full / f'iter_{STOP}.pth',
                '--cfg-options', 'train_cfg.max_epochs=2',
                'train_dataloader.batch_size=12',
                'optim_wrapper.accumulative_counts=1')
    assert '6 iterations per epoch' in out and 'this run has 4' in out
    assert sorted(losses(resumed)) == list(range(STOP + 1, STOP + 5))


def test_an_epoch_of_another_length_is_not_left_out(data, tmp_path):
    """Another batch from an epoch's end on, then resumed once more."""
    config = write_config(tmp_path, data, 1)
    work_dir = tmp_path / 'run'
    save = ['--cfg-options', 'optim_wrapper.accumulative_counts=1',
            'default_hooks.checkpoint.by_epoch=True',
            'default_hooks.checkpoint.interval=1']
    start(config, work_dir, 1, *save, 'train_cfg.max_epochs=2')
    for epochs in (3, 4):
        start(config, work_dir, 1, '--resume', *save,
              f'train_cfg.max_epochs={epochs}',
              'train_dataloader.batch_size=12')
    # 2 epochs of 6 iterations and 2 of 4.
    assert sorted(losses(work_dir)) == list(range(1, 21))


def test_seeds_differ():
    seeds = {iteration_seed(seed, rank, iteration) for seed in (0, 1)
             for rank in range(8) for iteration in range(500)}
    assert len(seeds) == 8000
    assert 0 <= min(seeds) and max(seeds) < 2**63
