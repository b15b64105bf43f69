"""Sharded runs of ``tools/train.py``, compared with unsharded ones."""

import re
from functools import partial

import pytest
import torch

from tests.helpers.in_process import run_tool, train
from tests.helpers.launched import EPOCH, losses
from tests.helpers.resumed import (
    LAST,
    STOP,
    assert_same_end,
    assert_same_iterations,
    load,
    resumable_config,
    resumed_iteration,
    same,
    start,
    terminate,
)
from tests.helpers.shapes import write_shapes

SHARDED = ('--cfg-options', 'runner_type=ibot_mm.ShardedRunner',
           'strategy.type=ibot_mm.ShardedStrategy',
           'model.accumulate_passes=False')
needs_fully_shard = pytest.mark.skipif(
    not hasattr(torch.distributed.fsdp, 'fully_shard'),
    reason='this PyTorch has no fully_shard')


@pytest.fixture(scope='module')
def configs(tmp_path_factory):
    """For 2 processes and for 1; no drop path, which each rank draws."""
    # Two processes have 3 and 2 batches of validation.
    data = write_shapes(tmp_path_factory.mktemp('data'), 48, 17) / 'imagenet'
    folder = tmp_path_factory.mktemp('configs')
    # An epsilon with which AdamW does not amplify rounding.
    return {
        processes: resumable_config(
            folder / f'tiny{processes}.py', data, processes, '''
model['backbone']['drop_path_rate'] = 0.
optim_wrapper['optimizer'] = dict(eps=1e-3)
''') for processes in (2, 1)
    }


@pytest.fixture(scope='module')
def runs(tmp_path_factory, configs):
    """The same training without and with sharding."""
    folder = tmp_path_factory.mktemp('runs')
    train(configs[2], folder / 'plain', '--auto-scale-lr', processes=2)
    train(configs[2], folder / 'sharded', '--auto-scale-lr', *SHARDED,
          processes=2)
    return folder


def to_rounding(a, b, path):
    torch.testing.assert_close(
        a, b, atol=1e-6, rtol=1e-4, msg=lambda m: f'{path}: {m}')


# Up to rounding: sums have another order.
close = partial(same, tensors=to_rounding)


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
    train(configs[2], tmp_path / 'run', '--auto-scale-lr', '--resume',
          runs / 'sharded' / f'iter_{STOP}.pth', *SHARDED, processes=2)
    assert_same_iterations(tmp_path / 'run', runs / 'sharded')
    assert_same_end(runs / 'sharded', tmp_path / 'run')


@needs_fully_shard
@pytest.mark.slow
@pytest.mark.parametrize('source,processes,options', [
    ('plain', 2, SHARDED), ('sharded', 2, ()), ('sharded', 1, ())],
    ids=['to-sharded', 'to-data-parallel', 'to-one-process'])
def test_resuming_with_and_without_sharding(runs, configs, tmp_path, source,
                                            processes, options):
    train(configs[processes], tmp_path / 'run', '--auto-scale-lr', '--resume',
          runs / source / f'iter_{STOP}.pth', *options, processes=processes)
    assert_same_end(runs / source, tmp_path / 'run', close)


@needs_fully_shard
@pytest.mark.slow
def test_a_signal_and_a_restart(runs, configs, tmp_path):
    work_dir = tmp_path / 'run'
    options = ('--auto-scale-lr', '--resume', *SHARDED,
               'default_hooks.interruption.interval=2')
    process = start(configs[2], work_dir, 2, *options)
    terminate(process, work_dir, code=1)  # torchrun's own
    resumed = resumed_iteration(
        train(configs[2], work_dir, *options, processes=2))
    assert EPOCH <= resumed < 3 * EPOCH and resumed % 2 == 0
    assert_same_end(runs / 'sharded', work_dir)


@needs_fully_shard
@pytest.mark.slow
def test_one_process_is_an_error(configs, tmp_path):
    with pytest.raises(RuntimeError, match='ShardedStrategy'):
        run_tool('train.py', configs[1], '--work-dir', tmp_path, *SHARDED)
