"""A run that is interrupted anywhere ends as one that is not."""

import pytest

from ibot_mm.engine.loops.pretrain_loop import iteration_seed
from tests.helpers.in_process import train
from tests.helpers.launched import EPOCH, losses
from tests.helpers.resumed import (
    STOP,
    assert_same_end,
    assert_same_iterations,
    resumable_config,
    resumed_iteration,
    start,
    terminate,
)


@pytest.mark.parametrize('processes', [
    1, pytest.param(2, marks=pytest.mark.slow)])
def test_resuming_in_the_middle_of_an_epoch(shapes, tmp_path, processes):
    """Drop path, samples, crops, optimizer, schedules: bit by bit."""
    config = resumable_config(tmp_path / 'tiny.py', shapes, processes)
    full, resumed = tmp_path / 'full', tmp_path / 'resumed'
    train(config, full, processes=processes)
    train(config, resumed, '--resume', full / f'iter_{STOP}.pth',
          processes=processes)
    assert_same_iterations(resumed, full)
    assert_same_end(full, resumed)


@pytest.mark.slow
@pytest.mark.parametrize('processes,code', [(1, 75), (2, 1)])
def test_a_signal_and_a_restart(shapes, tmp_path, processes, code):
    """In the second epoch; torchrun has a code of its own."""
    config = resumable_config(tmp_path / 'tiny.py', shapes, processes)
    full, broken = tmp_path / 'full', tmp_path / 'broken'
    train(config, full, processes=processes)
    process = start(config, broken, processes, '--resume', '--cfg-options',
                    'default_hooks.interruption.interval=2')
    terminate(process, broken, code)
    output = train(config, broken, '--resume', processes=processes)
    resumed = resumed_iteration(output)
    assert EPOCH <= resumed < 3 * EPOCH and resumed % 2 == 0
    assert_same_end(full, broken)


@pytest.mark.slow
def test_another_batch_restarts_the_epoch(shapes, tmp_path):
    config = resumable_config(tmp_path / 'tiny.py', shapes, 1)
    full, resumed = tmp_path / 'full', tmp_path / 'resumed'
    train(config, full, '--cfg-options', 'train_cfg.max_epochs=2',
          'optim_wrapper.accumulative_counts=1')
    output = train(config, resumed, '--resume', full / f'iter_{STOP}.pth',
                   '--cfg-options', 'train_cfg.max_epochs=2',
                   'train_dataloader.batch_size=12',
                   'optim_wrapper.accumulative_counts=1')
    assert '6 iterations per epoch' in output and 'this run has 4' in output
    # After one epoch of 4 iterations, as this run counts.
    assert sorted(losses(resumed)) == [5, 6, 7, 8]


@pytest.mark.slow
def test_an_epoch_of_another_length_is_not_left_out(shapes, tmp_path):
    """Another batch from an epoch's end on, then resumed once more."""
    config = resumable_config(tmp_path / 'tiny.py', shapes, 1)
    work_dir = tmp_path / 'run'
    save = ['--cfg-options', 'optim_wrapper.accumulative_counts=1',
            'default_hooks.checkpoint.by_epoch=True',
            'default_hooks.checkpoint.interval=1']
    train(config, work_dir, *save, 'train_cfg.max_epochs=2')
    for epochs in (3, 4):
        train(config, work_dir, '--resume', *save,
              f'train_cfg.max_epochs={epochs}',
              'train_dataloader.batch_size=12')
    # 2 epochs of 6 iterations, which count as 8 then, and 2 of 4.
    assert sorted(losses(work_dir)) == list(range(1, 17))


def test_seeds_differ():
    seeds = {iteration_seed(seed, rank, iteration) for seed in (0, 1)
             for rank in range(8) for iteration in range(500)}
    assert len(seeds) == 8000
    assert 0 <= min(seeds) and max(seeds) < 2**63
