"""Sharded runs of ``tools/train.py``, compared with unsharded ones."""

import re
import signal
import sys
import time
from functools import partial

import pytest
import torch

from tests.helpers import launched
from tests.test_tools.test_resume import (
    EPOCH,
    STOP,
    launch,
    losses,
    same,
    start,
    write_config,
)

SHARDED = ('--cfg-options', 'runner_type=ibot_mm.ShardedRunner',
           'strategy.type=ibot_mm.ShardedStrategy',
           'model.accumulate_passes=False')
LAST = f'iter_{3 * EPOCH}.pth'
needs_fully_shard = pytest.mark.skipif(
    not hasattr(torch.distributed.fsdp, 'fully_shard'),
    reason='this PyTorch has no fully_shard')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    # Two processes have 3 and 2 batches of validation.
    return launched.make_images(tmp_path_factory.mktemp('data'), val=17)


@pytest.fixture(scope='module')
def configs(tmp_path_factory, data):
    """For 2 processes and for 1; no drop path, which each rank draws."""
    folder = tmp_path_factory.mktemp('configs')
    found = {}
    for processes in (2, 1):
        (folder / str(processes)).mkdir()
        path = write_config(folder / str(processes), data, processes)
        # An epsilon with which AdamW does not amplify rounding.
        path.write_text(path.read_text() + '''
model['backbone']['drop_path_rate'] = 0.
optim_wrapper['optimizer'] = dict(eps=1e-3)
''')
        found[processes] = path
    return found


@pytest.fixture(scope='module')
def runs(tmp_path_factory, configs):
    """The same training without and with sharding."""
    folder = tmp_path_factory.mktemp('runs')
    start(configs[2], folder / 'plain', 2, '--auto-scale-lr')
    start(configs[2], folder / 'sharded', 2, '--auto-scale-lr', *SHARDED)
    return folder


def load(path):
    return torch.load(path, weights_only=False)


def to_rounding(a, b, path):
    torch.testing.assert_close(
        a, b, atol=1e-6, rtol=1e-4, msg=lambda m: f'{path}: {m}')


# Up to rounding: sums have another order.
close = partial(same, tensors=to_rounding)


def assert_same_end(folder, other, compare):
    a, b = load(folder / LAST), load(other / LAST)
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        compare(a[part], b[part], part)
    assert a['meta']['iter'] == b['meta']['iter'] == 3 * EPOCH
    assert a['meta']['epoch'] == b['meta']['epoch']


def logs(work_dir):
    return ''.join(p.read_text() for p in sorted(work_dir.glob('*/*.log')))


def k_nn(work_dir):
    return re.findall(r'knn/k5_top1: ([\d.]+)', logs(work_dir))


@needs_fully_shard
@pytest.mark.slow
def test_training_checkpoints_and_validation_of_an_unsharded_run(runs):
    expected, found = losses(runs / 'plain'), losses(runs / 'sharded')
    assert sorted(found) == list(range(1, 3 * EPOCH + 1))
    for iteration, values in expected.items():
        assert found[iteration] == pytest.approx(values, rel=1e-5), iteration
    assert_same_end(runs / 'plain', runs / 'sharded', close)
    plain, sharded = (load(runs / name / LAST)
                      for name in ('plain', 'sharded'))
    assert list(plain) == list(sharded)
    assert sorted(plain['meta']) == sorted(sharded['meta'])
    sizes = [(runs / name / LAST).stat().st_size
             for name in ('plain', 'sharded')]
    assert sizes[1] < 1.02 * sizes[0]
    total, mine = (int(n.replace(',', '')) for n in re.search(
        r'([\d,]+) parameters of student and teacher over 2 processes: '
        r'([\d,]+) on', logs(runs / 'sharded')).groups())
    assert mine == pytest.approx(total / 2, rel=0.1)
    assert len(k_nn(runs / 'sharded')) == 3
    assert k_nn(runs / 'plain') == k_nn(runs / 'sharded')


@needs_fully_shard
@pytest.mark.slow
def test_resuming_in_the_middle_of_an_epoch(runs, configs, tmp_path):
    """Bit by bit."""
    start(configs[2], tmp_path / 'run', 2, '--auto-scale-lr', '--resume',
          runs / 'sharded' / f'iter_{STOP}.pth', *SHARDED)
    found, expected = losses(tmp_path / 'run'), losses(runs / 'sharded')
    assert sorted(found) == list(range(STOP + 1, 3 * EPOCH + 1))
    for iteration, values in found.items():
        assert values == expected[iteration], iteration
    assert_same_end(runs / 'sharded', tmp_path / 'run', same)


@needs_fully_shard
@pytest.mark.slow
@pytest.mark.parametrize('source,processes,options', [
    ('plain', 2, SHARDED), ('sharded', 2, ()), ('sharded', 1, ())],
    ids=['to-sharded', 'to-data-parallel', 'to-one-process'])
def test_resuming_with_and_without_sharding(runs, configs, tmp_path, source,
                                            processes, options):
    start(configs[processes], tmp_path / 'run', processes, '--auto-scale-lr',
          '--resume', runs / source / f'iter_{STOP}.pth', *options)
    assert_same_end(runs / source, tmp_path / 'run', close)


@needs_fully_shard
@pytest.mark.slow
def test_a_signal_and_a_restart(runs, configs, tmp_path):
    work_dir = tmp_path / 'run'
    options = ('--auto-scale-lr', '--resume', *SHARDED,
               'default_hooks.interruption.interval=2')
    process = launch(configs[2], work_dir, 2, *options)
    while max(losses(work_dir), default=0) < EPOCH:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=100)
    assert process.returncode == 1, out  # torchrun's own
    assert 'SIGTERM: the run ends after iteration' in out
    out = start(configs[2], work_dir, 2, *options)
    resumed = int(re.search(r'resumed epoch: \d, iter: (\d+)', out)[1])
    assert EPOCH <= resumed < 3 * EPOCH and resumed % 2 == 0
    assert_same_end(runs / 'sharded', work_dir, same)


@needs_fully_shard
@pytest.mark.slow
def test_one_process_is_an_error(configs, tmp_path):
    out = launched.run(
        sys.executable, 'tools/train.py', configs[1], '--work-dir',
        tmp_path, *SHARDED, code=1)
    assert 'RuntimeError: ShardedStrategy' in out
