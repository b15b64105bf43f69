"""20 steps are equal however the batch is distributed.

One process with a batch of 8, and the same images over 2 and 4 processes and
over 2 with accumulation. With SGD, because Adam turns the rounding error of a
tiny gradient into a step of the learning rate, and with learning rates that do
not depend on the number of iterations, which accumulation doubles.
"""

import pytest
import torch

from tests.helpers.launched import run, tiny_config
from tests.helpers.shapes import write_shapes

STEPS, EPOCH = 20, 5


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    return write_shapes(
        tmp_path_factory.mktemp('data'), 8 * EPOCH, 2) / 'imagenet'


def final_state(data, folder, processes, batch, accumulation):
    config = tiny_config(folder / 'tiny.py', data, f'''
train_cfg = dict(max_epochs={STEPS // EPOCH})
val_cfg = None
val_dataloader = None
val_evaluator = None
optim_wrapper = dict(
    accumulative_counts={accumulation},
    optimizer=dict(_delete_=True, type='SGD', lr=0.1, momentum=0.9))
param_scheduler = []
randomness = dict(seed=3)
default_hooks.update(
    checkpoint=dict(interval={STEPS // EPOCH}),
    teacher_ema=dict(momentum=0.9, end_momentum=0.9))
''', batch_size=batch)
    work_dir = folder / f'{processes}-{batch}-{accumulation}'
    run('bash', 'tools/dist_train.sh', config, processes, '--work-dir',
        work_dir, '--fresh-start')
    checkpoint = torch.load(
        work_dir / f'epoch_{STEPS // EPOCH}.pth', weights_only=False)
    assert checkpoint['meta']['iter'] == STEPS * accumulation
    return checkpoint['state_dict']


@pytest.mark.slow
def test_launches_agree(data, tmp_path):
    one = final_state(data, tmp_path, 1, 8, 1)
    start = final_state(data, tmp_path, 1, 8, 1)
    for name in one:
        assert torch.equal(one[name], start[name]), name
    assert one['head.center.value'].abs().max() > 1e-3
    moved = [(one[k] - one[k[len('teacher.'):]]).abs().max().item()
             for k in one if k.startswith('teacher.')]
    assert max(moved) > 1e-3  # the teacher lags behind
    for spread in ((2, 4, 1), (4, 2, 1), (2, 2, 2)):
        other = final_state(data, tmp_path, *spread)
        assert list(other) == list(one)
        for name, value in one.items():
            torch.testing.assert_close(
                other[name], value, atol=2e-5, rtol=1e-4,
                msg=lambda m, n=name: f'{spread} {n}: {m}')
