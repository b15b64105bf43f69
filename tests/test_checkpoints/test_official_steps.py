"""How many iterations an official file has behind it."""

import math
from argparse import Namespace

import pytest

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.official.resume import steps_of_epoch
from tests.helpers import golden


def schedule_checkpoint(epoch, skipped):
    """What tells the iterations of the official schedules' run."""
    meta, decays = golden.meta('schedules'), golden.load('schedules')['wd']
    return dict(
        epoch=epoch, fp16_scaler=dict(scale=1.),
        args=Namespace(epochs=meta['epochs'], weight_decay=meta['wd'],
                       weight_decay_end=meta['wd_end']),
        optimizer=dict(
            state={0: dict(step=epoch * meta['niter'] - skipped)},
            param_groups=[
                dict(weight_decay=float(decays[epoch * meta['niter'] - 1]))
            ]))


@pytest.mark.parametrize('epoch', [1, 2, 37, 50, 99])
def test_skipped_steps_are_counted_as_iterations(epoch):
    """In float16 Adam lacks some steps; the weight decay does not."""
    assert steps_of_epoch(schedule_checkpoint(epoch, skipped=3)) == (
        golden.meta('schedules')['niter'])


@pytest.mark.parametrize('epoch', [1, 10, 400, 790])
def test_the_length_of_a_published_run(epoch):
    """ImageNet-1K in batches of 1024 for 800 epochs: 1251 steps an epoch."""
    angle = math.pi * (epoch * 1251 - 1) / (800 * 1251)
    decay = 0.4 + 0.5 * (0.04 - 0.4) * (1 + math.cos(angle))
    checkpoint = dict(
        epoch=epoch, fp16_scaler=dict(scale=1.),
        args=Namespace(epochs=800, weight_decay=0.04, weight_decay_end=0.4),
        optimizer=dict(
            state={0: dict(step=epoch * 1250)},
            param_groups=[dict(weight_decay=decay)]))
    assert steps_of_epoch(checkpoint) == 1251


def test_iterations_that_the_file_does_not_tell():
    niter = golden.meta('schedules')['niter']
    checkpoint = schedule_checkpoint(10, skipped=3)
    del checkpoint['args']
    with pytest.raises(CheckpointError, match='do not tell.*--epoch-length'):
        steps_of_epoch(checkpoint)
    assert steps_of_epoch(checkpoint, niter) == niter
    for wrong in (niter - 1, 2 * niter + 10):
        with pytest.raises(CheckpointError, match='contradict'):
            steps_of_epoch(checkpoint, wrong)
    del checkpoint['fp16_scaler']
    with pytest.raises(CheckpointError, match='do not tell'):
        steps_of_epoch(checkpoint)
    checkpoint['optimizer']['state'] = {}
    with pytest.raises(CheckpointError, match='0 steps of Adam'):
        steps_of_epoch(checkpoint)
