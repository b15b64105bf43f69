"""Hooks that no other test covers."""

import torch
from mmengine.logging import MessageHub

from ibot_mm.engine import (
    FreezeBackboneHook,
    FreezeLastLayerHook,
    PretrainRuntimeInfoHook,
    TeacherTemperatureHook,
)
from tests.helpers.builders import build_model


class FakeWrapper:
    param_groups = [dict(weight_decay=0.04)]
    grad_norm = torch.tensor(2.)


class FakeRunner:
    max_epochs = 6
    max_iters = 100

    def __init__(self):
        self.epoch = self.iter = 0
        self.optim_wrapper = FakeWrapper()
        self.message_hub = MessageHub(f'test_hooks_{id(self)}')
        self.train_dataloader = range(1000)


def test_outputs_are_fetched_at_the_interval_only():
    hook, runner = PretrainRuntimeInfoHook(interval=4), FakeRunner()
    fetched = []
    for runner.iter in range(9):
        hook.after_train_iter(
            runner,
            runner.iter,
            outputs=dict(loss=torch.tensor(float(runner.iter))))
        scalars = runner.message_hub.log_scalars
        fetched.append(
            len(scalars['train/loss'].data[0])
            if 'train/loss' in scalars else 0)
    assert fetched == [0, 0, 0, 4, 4, 4, 4, 8, 8]
    values = runner.message_hub.log_scalars['train/loss'].data[0]
    assert values.tolist() == list(range(8))
    norms = runner.message_hub.log_scalars['train/grad_norm'].data[0]
    assert norms.tolist() == [2.] * 8


def test_outputs_may_change_their_names():
    hook, runner = PretrainRuntimeInfoHook(interval=3), FakeRunner()
    for runner.iter, names in enumerate((['a'], ['a', 'b'], ['b'])):
        hook.after_train_iter(
            runner, runner.iter, outputs={n: torch.tensor(1.) for n in names})
    scalars = runner.message_hub.log_scalars
    assert len(scalars['train/a'].data[0]) == 2
    assert len(scalars['train/b'].data[0]) == 2


def test_temperatures_reach_the_head():
    runner = FakeRunner()
    runner.model = build_model()
    hook = TeacherTemperatureHook(
        0.04, 0.07, 0.05, 0.06, warmup_epochs=3, patch_start_epoch=2)
    hook.before_train(runner)
    seen = []
    for runner.epoch in range(6):
        hook.before_train_epoch(runner)
        head = runner.model.head
        seen.append([head.teacher_temp, head.teacher_patch_temp])
    torch.testing.assert_close(
        torch.tensor(seen),
        torch.tensor([[0.04, 0.05], [0.055, 0.05], [0.07, 0.05],
                      [0.07, 0.055], [0.07, 0.06], [0.07, 0.06]]))


def test_the_head_has_a_temperature_before_any_hook_ran():
    head = build_model().head
    assert head.teacher_temp == head.teacher_patch_temp == 0.04


def test_backbone_is_frozen_by_epoch():
    runner, hook = FakeRunner(), FreezeBackboneHook(epochs=2)
    runner.model = build_model()
    student = len(list(runner.model.backbone.parameters()))
    frozen = []
    for runner.epoch in range(4):
        hook.before_train_epoch(runner)
        frozen.append(len(runner.optim_wrapper.frozen))
    assert frozen == [student, student, 0, 0]


def test_last_layer_is_frozen_by_epoch():
    runner, hook = FakeRunner(), FreezeLastLayerHook(epochs=2)
    frozen = []
    for runner.epoch in range(4):
        hook.before_train_iter(runner, 0)
        frozen.append(runner.optim_wrapper.freeze_last_layer)
    assert frozen == [True, True, False, False]
