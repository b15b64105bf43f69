"""Optimizer wrapper: clipping, groups, freezing, accumulation, scaling."""

import math

import numpy as np
import pytest
import torch
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.utils import digit_version

from ibot_mm.datasets import multi_crop_collate
from ibot_mm.engine import PretrainOptimWrapper, TeacherEMAHook
from ibot_mm.engine.optimizers.pretrain_optim_wrapper import (
    clip_grads_per_parameter,
)
from ibot_mm.engine.optimizers.wrapper_constructor import fused_by_default
from tests.helpers import golden
from tests.helpers.builders import (
    batch,
    build_model,
    needs_cpu_float16,
    samples,
    wrap,
)


def test_clipping_by_hand():
    grads = [torch.tensor([3., 4.]), torch.tensor([0.3, 0.4]), torch.zeros(2)]
    norm = clip_grads_per_parameter(grads, 1.)
    torch.testing.assert_close(grads[0],
                               torch.tensor([3., 4.]) / (5 + 1e-6))
    assert torch.equal(grads[1], torch.tensor([0.3, 0.4]))
    assert torch.equal(grads[2], torch.zeros(2))
    assert math.isclose(norm, math.hypot(5, 0.5), rel_tol=1e-6)


def test_clipping_of_small_and_large_gradients():
    """As if each were clipped alone, whatever its size and shape."""
    torch.manual_seed(0)
    shapes = [(300, 300), (7, ), (2, 3, 4, 5), (2**16, ), (1, 2**16 + 1)]
    grads = [torch.randn(shape) for shape in shapes]
    expected = [grad * min(1, 3 / (float(grad.double().norm()) + 1e-6))
                for grad in grads]
    clip_grads_per_parameter(grads, 3.)
    torch.testing.assert_close(grads, expected)


def test_groups_equal_the_official_ones():
    settings = golden.meta('train_shared_final')
    model = build_model(
        backbone=dict(
            arch=dict(
                embed_dims=48,
                num_layers=2,
                num_heads=3,
                feedforward_channels=192)),
        neck=dict(in_channels=48))
    wrapper = wrap(model)
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, exempt = ([names[id(p)] for p in group['params']]
                       for group in wrapper.param_groups)
    reference = {name: torch.zeros(0) for name in settings['regularized']}
    assert len(decayed) == len(reference)
    for needed in ('backbone.pos_embed', 'backbone.cls_token',
                   'backbone.mask_token', 'neck.last_layer.weight_g',
                   'neck.last_layer.weight_v', 'neck.mlp.4.weight'):
        assert needed in decayed
    assert all(
        name.endswith('bias') or '.ln' in name for name in exempt), exempt
    assert [g['weight_decay'] for g in wrapper.param_groups] == [0.1, 0.]
    assert not any('teacher' in name for name in decayed + exempt)


def test_layer_scale_is_not_decayed_and_registers_are():
    """As in DINOv2."""
    model = build_model(backbone=dict(num_register_tokens=1,
                                      layer_scale_init_value=1e-5))
    names = {id(p): name for name, p in model.named_parameters()}
    decayed, exempt = ([names[id(p)] for p in group['params']]
                       for group in wrap(model).param_groups)
    assert 'backbone.register_tokens' in decayed
    for i in range(2):
        assert f'backbone.layers.{i}.attn.gamma1.weight' in exempt
        assert f'backbone.layers.{i}.ffn.gamma2.weight' in exempt


def test_paramwise_cfg_is_an_error():
    with pytest.raises(ValueError, match='paramwise_cfg'):
        OPTIM_WRAPPER_CONSTRUCTORS.build(
            dict(
                type='ibot_mm.PretrainOptimWrapperConstructor',
                optim_wrapper_cfg=dict(optimizer=dict(type='AdamW', lr=1.)),
                paramwise_cfg=dict(norm_decay_mult=0.)))


def test_unknown_precision_is_an_error():
    with pytest.raises(ValueError, match="dtype.*'half'"):
        wrap(build_model(), dtype='half')


def test_frozen_last_layer_keeps_its_weights_and_state():
    model = build_model()
    wrapper = wrap(model)
    before = model.neck.last_layer.weight_v.clone()
    wrapper.freeze_last_layer = True
    wrapper.update_params(sum(model.loss(batch(2)['inputs']).values()))
    assert torch.equal(model.neck.last_layer.weight_v, before)
    assert model.neck.last_layer.weight_v not in wrapper.optimizer.state
    wrapper.freeze_last_layer = False
    wrapper.update_params(sum(model.loss(batch(2)['inputs']).values()))
    assert not torch.equal(model.neck.last_layer.weight_v, before)
    state = wrapper.optimizer.state[model.neck.last_layer.weight_v]
    assert int(state['step']) == 1


def test_frozen_parameters_keep_their_weights_and_state():
    model = build_model()
    wrapper = wrap(model)
    before = {n: p.clone() for n, p in model.named_parameters()}
    wrapper.frozen = list(model.backbone.parameters())
    wrapper.update_params(sum(model.loss(batch(2)['inputs']).values()))
    for name, parameter in model.named_parameters():
        moved = name.startswith('neck.')
        assert torch.equal(parameter, before[name]) is not moved, name
        assert (parameter in wrapper.optimizer.state) is moved, name


class FakeRunner:
    """What ``TeacherEMAHook`` needs of a runner."""

    max_iters = 8

    def __init__(self, model, wrapper):
        self.model, self.optim_wrapper, self.iter = model, wrapper, 0
        self.message_hub = self

    def update_scalar(self, name, value):
        pass


def train(accumulation, raw, size, steps=2):
    """Weights after some steps of micro-batches of ``size`` samples."""
    # In float64, because Adam amplifies the rounding of small gradients.
    model = build_model().double()
    wrapper = wrap(
        model,
        accumulative_counts=accumulation,
        clip_grad=dict(type='per_parameter', max_norm=0.05))
    runner, hook = FakeRunner(model, wrapper), TeacherEMAHook(0.9)
    runner.max_iters = 4 * accumulation
    for _ in range(steps):
        for start in range(0, len(raw), size):
            data = multi_crop_collate(raw[start:start + size])
            wrapper.update_params(sum(model.loss(data['inputs']).values()))
            hook.after_train_iter(runner, 0)
            runner.iter += 1
    return model


def test_accumulation_equals_one_large_batch():
    raw = samples(8)
    for sample in raw:
        for key in ('global_crops', 'local_crops'):
            sample[key] = [crop.astype(np.float64) for crop in sample[key]]
    large, small = train(1, raw, 8), train(4, raw, 2)
    for (name, a), b in zip(large.state_dict().items(),
                            small.state_dict().values()):
        torch.testing.assert_close(
            a, b, atol=1e-6, rtol=1e-6, msg=lambda m, name=name: name + m)
    untouched = build_model()
    assert not torch.equal(large.head.center.value,
                           untouched.head.center.value)
    assert not torch.equal(large.teacher.backbone.pos_embed,
                           untouched.teacher.backbone.pos_embed)


def test_teacher_waits_for_the_optimizer_step():
    model = build_model()
    wrapper = wrap(model, accumulative_counts=2)
    runner, hook = FakeRunner(model, wrapper), TeacherEMAHook(0.9)
    state = {
        k: v.clone()
        for k, v in model.state_dict().items()
        if 'teacher' in k or 'center' in k
    }
    moved = []
    for runner.iter in range(4):
        model.train_step(batch(2, seed=runner.iter), wrapper)
        hook.after_train_iter(runner, 0)
        new = model.state_dict()
        moved.append(
            [any(not torch.equal(new[k], v) for k, v in state.items()
                 if part in k) for part in ('teacher', 'center')])
        state = {k: new[k].clone() for k in state}
    assert moved == [[False, False], [True, True]] * 2


@needs_cpu_float16
def test_a_step_that_the_scaler_skips_moves_nothing():
    model = build_model()
    wrapper = wrap(model, dtype='float16', loss_scale=2.**7)
    runner, hook = FakeRunner(model, wrapper), TeacherEMAHook(0.5)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with wrapper.optim_context(model):
        loss = sum(model.loss(batch(2)['inputs']).values())
    wrapper.update_params(loss * 1e30)  # finite; float16 gradients are not
    hook.after_train_iter(runner, 0)
    assert not wrapper.stepped
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), name
    scale = wrapper.loss_scaler.get_scale()
    assert scale == 2.**6
    # The next step is a good one, and sees only its own centers.
    model.train_step(batch(2), wrapper)
    hook.after_train_iter(runner, 0)
    assert wrapper.stepped
    assert not torch.equal(model.head.center.value,
                           before['head.center.value'])
    assert torch.isfinite(model.head.center.value).all()
    state = wrapper.state_dict()
    fresh = wrap(build_model(), dtype='float16')
    fresh.load_state_dict(state)
    assert fresh.loss_scaler.get_scale() == scale


@pytest.mark.parametrize('dtype', [
    'float32', 'bfloat16',
    pytest.param('float16', marks=needs_cpu_float16)
])
def test_precisions_train(dtype):
    model = build_model(spread=0.05)
    wrapper = wrap(model, dtype=dtype)
    seen = []
    model.backbone.layers[0].register_forward_hook(
        lambda m, i, o: seen.append(m.attn.qkv(i[0]).dtype))
    losses = [
        model.train_step(batch(4), wrapper)['loss'].item() for _ in range(20)
    ]
    assert seen[0] == getattr(torch, dtype)
    assert losses[-1] < losses[0] - 0.1


def test_mmengines_clipping_still_works():
    wrapper = wrap(build_model(), clip_grad=dict(max_norm=1.))
    assert isinstance(wrapper, PretrainOptimWrapper)
    assert wrapper.max_norm_per_parameter is None
    assert wrapper.clip_grad_kwargs == dict(max_norm=1.)


def test_resuming_keeps_the_kernel_of_this_machine():
    """A state from elsewhere must not bring its fused or looping kernel."""
    model = build_model()
    plain = wrap(model)
    plain.update_params(sum(model.loss(batch(2)['inputs']).values()))
    state = plain.state_dict()
    for group in state['param_groups']:
        group.update(fused=not group['fused'], lr=0.5)
    fresh = wrap(build_model())
    fresh.load_state_dict(state)
    here = plain.optimizer.defaults['fused']
    for group in fresh.param_groups:
        assert bool(group['fused']) == bool(here) and group['lr'] == 0.5


def test_the_fused_kernel_is_the_default_and_can_be_disabled():
    assert fused_by_default(dict(type='AdamW'), torch.device('cuda'))
    assert not fused_by_default(
        dict(type='AdamW', fused=False), torch.device('cuda'))
    assert not fused_by_default(
        dict(type='AdamW', foreach=True), torch.device('cuda'))
    assert not fused_by_default(dict(type='Rprop'), torch.device('cuda'))
    here = digit_version(torch.__version__) >= digit_version('2.4')
    assert bool(wrap(build_model()).optimizer.defaults['fused']) == here
