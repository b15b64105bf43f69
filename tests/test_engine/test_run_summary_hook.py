"""The summary of a run."""

import re

import pytest
import torch
from mmengine.optim import LinearLR

from ibot_mm.engine.hooks import RunSummaryHook
from tests.helpers.tiny_run import EPOCH, At, build_runner, log_of


def summary(work_dir):
    """Lines of the summary, by their first word."""
    text = log_of(work_dir).partition('Summary of the run')[2]
    return dict(re.findall(r'^  (\S.*?)  +(.+)$', text, re.M))


def test_a_training(tmp_path):
    build_runner(tmp_path, RunSummaryHook(), epochs=3, accumulation=2,
                 scores=[{}] * 3).train()
    found = summary(tmp_path)
    assert found['train data'] == found['val data'] == '12 images'
    # 4 x 2 weights and 2 biases.
    assert found['model'] == 'TinyModel: layer 10 parameters; 10 trained'
    assert found['weights'] == 'random'
    assert re.fullmatch(r'4 images = 2 x 1 \(\w+\) x 2 accumulated',
                        found['batch'])
    assert found['length'] == '3 epochs x 6 = 18 iterations'
    assert found['optimizer'].startswith('AdamW')
    assert found['lr'] == (
        '0.01, ExponentialLR(end=18, gamma=0.9) in iterations')
    assert found['work dir'] == str(tmp_path)
    assert found['log file'].startswith(str(next(tmp_path.glob('*/*.log'))))


def test_a_run_of_iterations_from_weights(tmp_path):
    weights = tmp_path / 'weights.pth'
    runner = build_runner(tmp_path / 'a')
    torch.save(dict(state_dict=runner.model.state_dict()), weights)
    build_runner(tmp_path / 'b', RunSummaryHook(), by_epoch=False, epochs=1,
                 load_from=weights).train()
    found = summary(tmp_path / 'b')
    assert found['length'] == '6 iterations'
    assert found['weights'] == f'loaded from {weights}'


def test_a_warmup_that_does_not_end_is_a_warning(tmp_path):
    def warm_up(runner):
        runner.param_schedulers = [
            LinearLR(runner.optim_wrapper, 0.1, end=500, by_epoch=False)]

    build_runner(tmp_path, RunSummaryHook(), At('before_train', 0, warm_up),
                 epochs=2).train()
    warning, = re.findall(r'WARNING.* (param_scheduler.0 .*)',
                          log_of(tmp_path))
    assert 'end=500' in warning and f'iteration {2 * EPOCH}' in warning


@pytest.mark.parametrize('stage', ['val', 'test'])
def test_a_validation_and_a_test(tmp_path, stage):
    runner = build_runner(tmp_path, RunSummaryHook(), scores=[{}] * 2)
    if stage == 'test':
        runner._test_loop = dict()
        runner._test_dataloader = runner._val_dataloader
        runner._test_evaluator = runner._val_evaluator
    getattr(runner, stage)()
    found = summary(tmp_path)
    assert found[f'{stage} data'] == '12 images'
    assert 'layer 10' in found['model'] and 'batch' not in found
