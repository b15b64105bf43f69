"""Schedules against the official arrays."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.optim import (
    CosineAnnealingLR,
    LinearLR,
    MultiStepLR,
    OptimWrapper,
    PolyLR,
)

from ibot_mm.engine import (
    CosineWeightDecay,
    EpochCosineLR,
    PretrainOptimWrapper,
    TeacherEMAHook,
    TeacherTemperatureHook,
    WarmupCosineLR,
)
from ibot_mm.engine.hooks.teacher_temperature_hook import warmup_values
from ibot_mm.engine.schedulers.unreached import unreached
from tests.helpers import golden

META = golden.meta('schedules')
PEAK = META['lr'] * META['batch_total'] / 256


def wrapper(cls=OptimWrapper, **kwargs):
    parameters = [torch.nn.Parameter(torch.zeros(2)) for _ in range(2)]
    return cls(
        torch.optim.AdamW([
            dict(params=parameters[:1]),
            dict(params=parameters[1:], weight_decay=0.)
        ],
                          lr=PEAK,
                          weight_decay=META['wd']), **kwargs)


def trace(scheduler, optim, key, steps):
    values = []
    for _ in range(steps):
        values.append([group[key] for group in optim.param_groups])
        optim.step()
        scheduler.step()
    return np.array(values)


def test_learning_rate():
    optim = wrapper()
    scheduler = WarmupCosineLR.build_iter_from_epoch(
        optim,
        epoch_length=META['niter'],
        end=META['epochs'],
        warmup=META['warmup_epochs'],
        eta_min=META['min_lr'])
    expected = golden.load('schedules')['lr']
    values = trace(scheduler, optim, 'lr', len(expected))
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-9, atol=1e-15)
    np.testing.assert_array_equal(values[:, 0], values[:, 1])


def test_weight_decay():
    optim = wrapper()
    scheduler = CosineWeightDecay.build_iter_from_epoch(
        optim,
        epoch_length=META['niter'],
        end=META['epochs'],
        eta_end=META['wd_end'])
    expected = golden.load('schedules')['wd']
    values = trace(scheduler, optim, 'weight_decay', len(expected))
    np.testing.assert_allclose(values[:, 0], expected, rtol=1e-9)
    assert not values[:, 1].any()


def test_momentum():
    hook = TeacherEMAHook(META['momentum'])
    expected = golden.load('schedules')['momentum']
    values = [hook.momentum_at(i, len(expected)) for i in range(len(expected))]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


@pytest.mark.parametrize('delay,cls_key,patch_key', [
    (META['mim_start'], 'temp', 'temp2'),
    (META['mim_start_b'], 'temp_mim5', 'temp2_mim5'),
])
def test_temperatures(delay, cls_key, patch_key):
    class Runner:
        max_epochs = META['epochs']

    hook = TeacherTemperatureHook(
        META['t0'],
        META['t1'],
        META['tp0'],
        META['tp1'],
        META['warm_temp'],
        patch_start_epoch=delay)
    hook.before_train(Runner)
    arrays = golden.load('schedules')
    np.testing.assert_allclose(hook.cls_values, arrays[cls_key], rtol=1e-12)
    np.testing.assert_allclose(
        hook.patch_values, arrays[patch_key], rtol=1e-12)


def test_warmup_longer_than_the_run_raises():
    with pytest.raises(ValueError, match='warmup_epochs'):
        warmup_values(0.04, 0.07, 8, 10, delay=3)
    with pytest.raises(ValueError, match='WarmupCosineLR'):
        WarmupCosineLR(wrapper(), end=5, warmup=6)


def test_resume_continues_the_same_values():
    kwargs = dict(end=40, warmup=7)
    optim = wrapper()
    expected = trace(WarmupCosineLR(optim, **kwargs), optim, 'lr', 40)
    optim = wrapper()
    first = WarmupCosineLR(optim, **kwargs)
    trace(first, optim, 'lr', 13)
    state, saved = first.state_dict(), optim.state_dict()
    optim = wrapper()
    second = WarmupCosineLR(optim, **kwargs)
    optim.load_state_dict(saved)
    second.load_state_dict(state)
    np.testing.assert_array_equal(
        trace(second, optim, 'lr', 27), expected[13:])


@pytest.mark.parametrize('cls,key', [(WarmupCosineLR, 'lr'),
                                     (CosineWeightDecay, 'weight_decay')])
def test_accumulation_follows_optimizer_steps(cls, key):
    """4 iterations per step have the values of 1 iteration per step."""
    plain = wrapper(PretrainOptimWrapper)
    kwargs = dict(warmup=4) if cls is WarmupCosineLR else {}
    expected = trace(cls(plain, end=10, **kwargs), plain, key, 10)
    many = wrapper(PretrainOptimWrapper, accumulative_counts=4)
    kwargs = dict(warmup=16) if cls is WarmupCosineLR else {}
    values = trace(cls(many, end=40, **kwargs), many, key, 40)
    np.testing.assert_allclose(values, np.repeat(expected, 4, axis=0))


def test_momentum_with_accumulation_by_hand():
    hook = TeacherEMAHook(0.9)
    expected = 1 - 0.1 * (1 + math.cos(math.pi * 3 / 10)) / 2
    assert math.isclose(hook.momentum_at(13, 40, 4), expected)
    assert hook.momentum_at(12, 40, 4) == hook.momentum_at(15, 40, 4)


@pytest.mark.parametrize('peak, floor', [(1e-4, 1e-5), (4e-6, 4e-6)])
def test_cosine_by_epoch(peak, floor):
    """timm's rule by hand; a peak below the end value is the end value."""
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], peak)
    wrapper = OptimWrapper(optimizer, accumulative_counts=4)
    scheduler = EpochCosineLR(wrapper, end=20, warmup=5, eta_min=1e-5,
                              warmup_start=1e-6)
    for epoch in range(20):
        if epoch < 5:
            wanted = 1e-6 + (peak - 1e-6) * epoch / 5
        else:
            wanted = floor + (peak - floor) * 0.5 * (
                1 + math.cos(math.pi * epoch / 20))
        assert optimizer.param_groups[0]['lr'] == pytest.approx(wanted)
        scheduler.step()


@pytest.mark.parametrize('cls,key', [(WarmupCosineLR, 'lr'),
                                     (CosineWeightDecay, 'weight_decay')])
@pytest.mark.parametrize('done', [13, 40])
def test_a_prolonged_run_is_where_a_run_of_that_length_would_be(cls, key,
                                                                done):
    """After an interrupted and after a finished run of 40 iterations."""
    optim = wrapper()
    expected = trace(cls(optim, end=60), optim, key, 60)
    optim = wrapper()
    short = cls(optim, end=40)
    trace(short, optim, key, done)
    state, saved = short.state_dict(), optim.state_dict()
    optim = wrapper()
    longer = cls(optim, end=60)
    optim.load_state_dict(saved)
    longer.load_state_dict(state)
    np.testing.assert_array_equal(
        trace(longer, optim, key, 60 - done), expected[done:])


class FakeRunner:
    """What ``TeacherEMAHook.before_train`` reads."""

    def __init__(self, max_iters, accumulative_counts=1):
        self.max_iters = max_iters
        self.optim_wrapper = SimpleNamespace(
            accumulative_counts=accumulative_counts)
        self.messages = []
        self.cfg = Config(dict(model=dict(backbone=dict(), neck=dict())))
        self.logger = SimpleNamespace(
            info=self.messages.append, warning=self.messages.append)


def test_share_of_the_initial_weights_in_the_teacher():
    """The product of the momenta, in a loop; a warning if it is large."""
    runner, hook = FakeRunner(6200), TeacherEMAHook(0.99975)
    hook.before_train(runner)
    share = 1.
    for step in range(6200):
        share *= hook.momentum_at(step, 6200)
    assert hook.initial_shares[-1] == pytest.approx(share)
    assert '46%' in runner.messages[0]
    for settings in (dict(momentum=0.99975, max_initial_share=0.01),
                     dict(momentum=0.98, end_momentum=0.99)):
        runner, hook = FakeRunner(6200), TeacherEMAHook(**settings)
        hook.before_train(runner)
        assert 0 < hook.initial_shares[-1] < 0.01
        assert not any('random' in message for message in runner.messages)
    # 2 x ln(100) / 6200 below 1.
    runner, hook = FakeRunner(24800, 4), TeacherEMAHook(
        0.99975, max_initial_share=0.01)
    hook.before_train(runner)
    assert hook.momentum == pytest.approx(1 - 2 * math.log(100) / 6200)
    # A teacher that stands still for a fifth of the run loses as much.
    runner, hook = FakeRunner(6200), TeacherEMAHook(
        0.99975, max_initial_share=0.01, still_epochs=2)
    runner.max_epochs = 10
    hook.before_train(runner)
    assert 0.008 < hook.initial_shares[-1] < 0.01
    # Long runs keep their momentum.
    runner, hook = FakeRunner(10**6), TeacherEMAHook(max_initial_share=0.01)
    hook.before_train(runner)
    assert hook.momentum == 0.996 and not runner.messages


PRETRAINED = dict(init_cfg=[dict(type='Pretrained', checkpoint='x.pth')])


@pytest.mark.parametrize('cfg, part', [
    (dict(), '46% of the teacher are'),
    (dict(model=dict(backbone=PRETRAINED)), "46% of the teacher's projection"),
    (dict(model=dict(backbone=PRETRAINED, neck=PRETRAINED)), None),
    (dict(load_from='epoch_9.pth'), None),
    (dict(load_from='epoch_9.pth', resume=True), '46% of the teacher are'),
])
def test_loaded_weights_are_no_random_ones(cfg, part):
    """A slow teacher of a short run, from several starting points."""
    runner = FakeRunner(6200)
    runner.cfg.merge_from_dict(cfg)
    TeacherEMAHook(0.99975).before_train(runner)
    assert len(runner.messages) == (part is not None)
    assert part is None or part in runner.messages[0]


@pytest.mark.parametrize('steps', [4, 5, 6, 7])
@pytest.mark.parametrize('build, final', [
    (lambda optim: LinearLR(optim, 0.1, begin=1, end=6, by_epoch=False), 1),
    (lambda optim: MultiStepLR(optim, [2, 5], by_epoch=False), 0.01)])
def test_a_schedule_is_reached_if_the_run_has_its_last_value(build, final,
                                                             steps):
    """By stepping MMEngine's schedulers through the run."""
    optim = wrapper()
    scheduler = build(optim)
    found = list(unreached([scheduler], 1, steps))
    reached = PEAK * final == pytest.approx(
        trace(scheduler, optim, 'lr', steps)[-1, 0])
    assert found == [] if reached else len(found) == 1


def test_schedules_longer_than_the_run_are_named():
    """COCO's and ADE20K's, in a run of 10 epochs of 12 iterations."""
    optim = wrapper()
    found = unreached([
        LinearLR(optim, 1e-3, begin=0, end=500, by_epoch=False),
        MultiStepLR(optim, milestones=[8, 11], begin=0, end=12),
        PolyLR(optim, begin=100, end=160000, by_epoch=False),
        CosineAnnealingLR(optim, T_max=100),
        EpochCosineLR(optim, end=10, warmup=20),
        # These end with the run, or have done what they do.
        WarmupCosineLR(optim, end=120, warmup=20, by_epoch=False),
        MultiStepLR(optim, milestones=[8, 9], begin=0, end=12),
        CosineAnnealingLR(optim, end=10),
    ], max_epochs=10, max_iters=120)
    for index, (sentence, parts) in enumerate(zip(found, [
        ('LinearLR', 'end=500', 'iteration 120'),
        ('MultiStepLR', 'milestones=[8, 11]', 'epoch 10'),
        ('PolyLR', 'end=160000', 'iteration 120'),
        ('CosineAnnealingLR', 'T_max=100', 'epoch 10'),
        ('EpochCosineLR', 'warmup=20', 'epoch 10'),
    ], strict=True)):
        for part in (f'param_scheduler.{index} ', *parts):
            assert part in sentence


def test_a_teacher_that_stands_still_at_first():
    """Two of four epochs of 25 steps; then the cosine of the whole run."""
    runner, hook = FakeRunner(100), TeacherEMAHook(0.9, still_epochs=2)
    runner.max_epochs = 4
    hook.before_train(runner)
    assert hook.initial_shares[:50] == [1.] * 50
    share = math.prod(hook.momentum_at(step, 100) for step in range(50, 100))
    assert hook.initial_shares[-1] == pytest.approx(share)
    moved, stepped = [], SimpleNamespace(
        model=SimpleNamespace(
            update_teacher=lambda momentum: moved.append(momentum),
            head=SimpleNamespace(update_centers=lambda: moved.append('c'))),
        optim_wrapper=SimpleNamespace(stepped=True, accumulative_counts=1),
        message_hub=SimpleNamespace(update_scalar=lambda *args: None),
        max_iters=100)
    for stepped.epoch, stepped.iter in ((1, 49), (2, 50)):
        hook.before_train_epoch(stepped)
        hook.after_train_iter(stepped, 0)
    assert moved == [1., 'c', pytest.approx(0.95), 'c']
