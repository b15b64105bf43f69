"""Runs that continue from official files."""

import math
from argparse import Namespace

import numpy as np
import pytest
import torch
from mmengine.hooks import Hook
from mmengine.optim import build_optim_wrapper

from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.optimizer import to_official_optimizer
from ibot_mm.checkpoints.official.resume import continue_official
from ibot_mm.checkpoints.official.state_dict import (
    add_prefix,
    strip_prefix,
    to_official,
    to_official_checkpoint,
)
from ibot_mm.engine import WarmupCosineLR
from tests.helpers import golden
from tests.helpers.builders import (
    build_model,
    build_stepped,
    model_config,
    needs_cpu_float16,
)
from tests.helpers.golden_run import (
    CASES,
    Recorder,
    build_runner,
    compare_parameters,
    config,
    load_start,
)
from tests.helpers.in_process import run_tool


class Gradients(Hook):
    """Keep what each step of the optimizer gets, in official names."""

    def __init__(self):
        self.steps = []

    def before_train(self, runner):
        def keep_and_step(*args, **kwargs):
            grads = {
                name: parameter.grad.clone()
                for name, parameter in runner.model.named_parameters()
                if parameter.grad is not None
            }
            self.steps.append({
                **add_prefix(to_official(strip_prefix(grads, 'backbone.')),
                             'backbone.'),
                **add_prefix(to_official(strip_prefix(grads, 'neck.')),
                             'head.')
            })
            return step(*args, **kwargs)

        # PyTorch 2.1 calls no step hooks in a process that has compiled.
        optimizer = runner.optim_wrapper.optimizer
        step, optimizer.step = optimizer.step, keep_and_step


def plain_adam(case, steps, fused):
    """What the official code would save: weights and ``optimizer``.

    A plain AdamW over plain tensors in the order of the official student,
    which takes the steps by itself; with the kernel of the run, because Adam
    amplifies what rounding makes of a gradient of 0.
    """
    settings = golden.meta(f'train_{case}_final')
    final = golden.load(f'train_{case}_final')
    prefix = 'student0/'
    weights = {
        key[len(prefix):]: golden.tensor(f'train_{case}_init', key)
        for key in golden.load(f'train_{case}_init')
        if key.startswith(prefix)
    }
    groups = [settings['regularized'], settings['not_regularized']]
    for group in groups:
        assert group == [name for name in weights if name in group]
        for name in group:
            weights[name].requires_grad_()
    adam = torch.optim.AdamW([
        dict(params=[weights[name] for name in groups[0]]),
        dict(params=[weights[name] for name in groups[1]], weight_decay=0.)
    ], fused=fused)
    for index, gradients in enumerate(steps):
        for group in adam.param_groups:
            group['lr'] = final['lr'][index]
        adam.param_groups[0]['weight_decay'] = final['wd'][index]
        for name in sum(groups, []):
            weights[name].grad = gradients.get(name)
        adam.step()
    if CASES[case]['shared_head']:
        for part in ('weight_g', 'weight_v'):
            weights[f'head.last_layer2.{part}'] = weights[
                f'head.last_layer.{part}']
    return ({f'module.{k}': v.detach() for k, v in weights.items()},
            adam.state_dict())


def first_epoch(case, folder):
    """An official checkpoint after the first epoch, of two steps."""
    runner = build_runner(case, config(case, folder / 'first'), 'first')
    load_start(case, runner.model)
    gradients, recorder = Gradients(), Recorder(steps=2)
    runner.register_hook(gradients)
    runner.register_hook(recorder)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    checkpoint = to_official_checkpoint(recorder.state)
    student, optimizer = plain_adam(
        case, gradients.steps,
        runner.optim_wrapper.optimizer.defaults.get('fused'))
    assert len(gradients.steps) == 2
    for name, value in checkpoint['student'].items():
        torch.testing.assert_close(value, student[name], atol=1e-6, rtol=1e-5)
    checkpoint.update(
        student=student, optimizer=optimizer, epoch=1,
        args=Namespace(arch='vit_small'))
    torch.save(checkpoint, folder / 'checkpoint.pth')
    return load_checkpoint(str(folder / 'checkpoint.pth'))


@pytest.fixture(scope='module', params=list(CASES))
def continued(request, tmp_path_factory):
    """(case, what was converted, recorder of the third step)."""
    case, folder = request.param, tmp_path_factory.mktemp(request.param)
    result = continue_official(
        first_epoch(case, folder), config(case, folder / 'x'))
    torch.save(result.checkpoint, folder / 'resume.pth')
    runner = build_runner(case, config(case, folder / 'second'), 'second',
                          resume=True, load_from=str(folder / 'resume.pth'))
    recorder = Recorder()
    runner.register_hook(recorder)
    with pytest.raises(KeyboardInterrupt):
        runner.train()
    return case, result, recorder


def test_the_third_step_is_the_official_one(continued):
    case, _, recorder = continued
    final = golden.load(f'train_{case}_final')
    losses = [final[key][2] for key in ('loss', 'cls_loss', 'patch_loss')]
    np.testing.assert_allclose(recorder.losses, [losses], atol=1e-5, rtol=0)
    np.testing.assert_allclose(recorder.rates, [[final['lr'][2]] * 2],
                               rtol=1e-9)
    np.testing.assert_allclose(recorder.decays, [[final['wd'][2], 0.]],
                               rtol=1e-9)
    for ours, official in ((recorder.centers, 'center_after'),
                           (recorder.patch_centers, 'center2_after')):
        np.testing.assert_allclose(ours[0], final[official][2].flatten(),
                                   atol=2e-5, rtol=0)


@pytest.mark.parametrize('network', ['student', 'teacher'])
def test_parameters_after_the_third_step(continued, network):
    case, _, recorder = continued
    compare_parameters(case, recorder.state, network)


def test_counts_after_the_third_step(continued):
    case, result, recorder = continued
    counts = golden.meta(
        f'train_{case}_final')['adam_step_counter_after_3_steps']
    assert sorted(recorder.adam_steps.values()) == sorted(counts.values())
    assert {k for k, v in recorder.adam_steps.items() if v == 1} == {
        name.replace('head.', 'neck.') for name, v in counts.items() if v == 1
    }
    final = golden.load(f'train_{case}_final')
    assert result.iterations == 2 and result.scaler == 'absent'
    assert result.official == pytest.approx((final['lr'][1], final['wd'][1]))
    assert result.planned == pytest.approx(result.official, rel=1e-9)


def official_checkpoint(epoch=3, **changes):
    """An official file after three epochs of two steps, and a model."""
    model, wrapper = build_stepped(**changes)
    for state in wrapper.optimizer.state.values():
        state['step'].fill_(6)
    checkpoint = dict(state_dict=model.state_dict(),
                      optimizer=wrapper.state_dict())
    return dict(
        to_official_checkpoint(checkpoint['state_dict']), epoch=epoch,
        optimizer=to_official_optimizer(checkpoint))


def small_config(case='shared', **changes):
    """Config for what :func:`official_checkpoint` gives."""
    cfg = config(case, '.')
    cfg.merge_from_dict(dict(
        train_cfg=dict(max_epochs=10),
        model={'_delete_': True, **model_config(**changes)}))
    return cfg


def test_differences_are_listed_in_one_sentence():
    checkpoint = official_checkpoint()
    for changes, message in (
            (dict(neck=dict(num_prototypes=24), head=dict(num_prototypes=24)),
             r'neck.last_layer.weight_\w.*\[40, \d+\].*\[24, \d+\]'),
            (dict(neck=dict(shared_head=False)),
             'Missing.*"neck.last_layer2.weight_'),
            (dict(backbone=dict(with_mask_token=False)),
             'Unexpected.*"backbone.mask_token"'),
            # The gain is in the optimizer of the file, not of this model.
            (dict(neck=dict(norm_last_layer=True)),
             r'groups of \[\d+, \d+\] parameters where the student has')):
        with pytest.raises(CheckpointError, match=message) as error:
            continue_official(checkpoint, small_config(**changes))
        assert '\n' not in str(error.value)


def test_files_that_no_run_can_continue_from():
    good = official_checkpoint()
    number = good['optimizer']['param_groups'][0]['params'][0]
    state = dict(good['optimizer']['state'])
    sgd = {k: dict(momentum_buffer=v['exp_avg']) for k, v in state.items()}
    state[number] = dict(state[number], exp_avg=torch.zeros(3))
    for changes, message in (
            (dict(optimizer=None), 'has no "optimizer"'),
            (dict(epoch=10), '10 finished epochs and the config trains 10'),
            (dict(optimizer=dict(good['optimizer'], state=state)),
             r'exp_avg of shape \(3,\) where "backbone.cls_token"'),
            (dict(optimizer=dict(good['optimizer'], state=sgd)),
             'only the state of AdamW')):
        checkpoint = {**good, **changes}
        with pytest.raises(CheckpointError, match=message):
            continue_official(checkpoint, small_config())


def test_configs_that_cannot_continue():
    checkpoint, cfg = official_checkpoint(), small_config()
    cfg.optim_wrapper.optimizer = dict(type='SGD', lr=0.1)
    with pytest.raises(CheckpointError, match='SGD, which cannot continue'):
        continue_official(checkpoint, cfg)
    cfg = small_config()
    cfg.param_scheduler = dict(type='CosineAnnealingLR', by_epoch=True)
    with pytest.raises(CheckpointError, match='CosineAnnealingLR'):
        continue_official(checkpoint, cfg)


def test_accumulation_multiplies_the_iterations():
    cfg = small_config()
    cfg.optim_wrapper.accumulative_counts = 4
    result = continue_official(official_checkpoint(), cfg)
    assert result.iterations == 8
    assert result.checkpoint['meta']['iter'] == 24
    # Rates of step 6 of 20, the peak being at step 0 (no warm-up).
    peak = cfg.optim_wrapper.optimizer.lr
    rate = 1e-6 + (peak - 1e-6) * (1 + math.cos(math.pi * 6 / 20)) / 2
    for group in result.checkpoint['optimizer']['param_groups']:
        assert group['lr'] == pytest.approx(rate)
        assert group['initial_lr'] == peak


def test_a_position_takes_the_rates_of_the_run():
    """As with --auto-scale-lr, which the converter knows nothing of."""
    result = continue_official(official_checkpoint(), small_config())
    model = build_model()
    cfg = small_config()
    wrapper = build_optim_wrapper(model, cfg.optim_wrapper)
    for group in wrapper.param_groups:
        group['lr'] *= 8
    scheduler = WarmupCosineLR(wrapper, end=20, by_epoch=False)
    wrapper.load_state_dict(result.checkpoint['optimizer'])
    scheduler.load_state_dict(result.checkpoint['param_schedulers'][0])
    peak = 8 * cfg.optim_wrapper.optimizer.lr
    for step in range(6, 9):
        rate = 1e-6 + (peak - 1e-6) * (1 + math.cos(math.pi * step / 20)) / 2
        assert wrapper.param_groups[0]['lr'] == pytest.approx(rate)
        wrapper.optimizer.step()
        scheduler.step()


@pytest.mark.parametrize('dtype,kept', [
    pytest.param('float16', 'kept', marks=needs_cpu_float16),
    ('bfloat16', 'left out'),
])
def test_loss_scaler(dtype, kept):
    cfg = small_config()
    cfg.optim_wrapper.dtype = dtype
    scaler = dict(scale=4096., growth_factor=2., backoff_factor=.5,
                  growth_interval=2000, _growth_tracker=7)
    result = continue_official(
        dict(official_checkpoint(), fp16_scaler=scaler), cfg, 2)
    assert result.scaler == kept
    wrapper = build_optim_wrapper(build_model(), cfg.optim_wrapper)
    wrapper.load_state_dict(result.checkpoint['optimizer'])
    if dtype == 'float16':
        assert wrapper.loss_scaler.state_dict() == scaler


@pytest.mark.cli
def test_what_the_way_back_keeps(tmp_path):
    """The scale of float16; no state that has no place in official files."""
    model, wrapper = build_stepped()
    optimizer = dict(wrapper.state_dict(), loss_scaler=dict(scale=512.))
    for kind in ('complete', 'foreign'):
        if kind == 'foreign':
            optimizer['param_groups'] = optimizer['param_groups'][:1]
        source, target = tmp_path / f'{kind}.pth', tmp_path / 'official.pth'
        torch.save(dict(state_dict=model.state_dict(), meta=dict(epoch=2),
                        optimizer=optimizer), source)
        out, _ = run_tool('model_converters/mm_to_ibot.py', source, target)
        written = load_checkpoint(str(target))
        assert written['epoch'] == 2
        assert written['fp16_scaler'] == dict(scale=512.)
        assert ('optimizer' in written) == (kind == 'complete')
        assert ('left out: "optimizer"' in out) == (kind == 'foreign')
