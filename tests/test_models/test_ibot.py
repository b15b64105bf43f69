"""The training step compared with a dense reference implementation."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ibot_mm.checkpoints.official.state_dict import to_official_checkpoint
from ibot_mm.datasets import multi_crop_collate
from ibot_mm.registry import MODELS
from ibot_mm.structures import merge_views
from tests.helpers.builders import (
    batch,
    build_model,
    cls_loss,
    head_losses,
    model_config,
    needs_cpu_float16,
    samples,
)
from tests.helpers.dense import dense_losses


def per_view(raw, num_global, local_sizes):
    """Samples as tensors per view, for the dense implementation."""
    def stack(key, i):
        return torch.stack([
            torch.from_numpy(s[key][i]).permute(2, 0, 1) for s in raw])

    return ([stack('global_crops', i) for i in range(num_global)],
            [stack('local_crops', i) for i in range(len(local_sizes))], [
                torch.stack([torch.from_numpy(s['masks'][i]) for s in raw])
                for i in range(num_global)
            ])


def gradients(model, losses):
    model.zero_grad()
    (cls_loss(losses) + losses['loss_patch']).backward()
    return {
        name: p.grad.clone()
        for name, p in model.named_parameters() if p.grad is not None
    }


def assert_equal_to_dense(model, batch_size, num_global, local_sizes,
                          mask_ratio, seed):
    # In float64, so that rounding cannot hide a difference.
    model = model.double()
    raw = samples(batch_size, num_global, local_sizes, mask_ratio, seed)
    for sample in raw:
        for key in ('global_crops', 'local_crops'):
            sample[key] = [crop.astype(np.float64) for crop in sample[key]]
    losses = model.loss(multi_crop_collate(raw)['inputs'])
    grads = gradients(model, losses)
    expected = dense_losses(model, *per_view(raw, num_global, local_sizes))
    expected_grads = gradients(model, expected)
    for key in ('loss_cls_global', 'loss_cls_local', 'loss_patch'):
        assert abs(losses.get(key, 0) - expected[key]) < 1e-6 * max(
            1, abs(expected[key])), key
    for name, value in expected_grads.items():
        torch.testing.assert_close(
            grads.get(name, torch.zeros_like(value)), value, atol=1e-5,
            rtol=1e-4, msg=lambda m, name=name: f'{name}: {m}')
    model.head.update_centers()
    for name in ('center', 'patch_center'):
        torch.testing.assert_close(
            getattr(model.head, name).value, expected[name], atol=1e-6,
            rtol=1e-5)


@settings(deadline=None, max_examples=40)
@given(
    batch_size=st.integers(1, 4),
    num_global=st.integers(1, 3),
    local_sizes=st.lists(st.sampled_from([8, 16, 24]), min_size=0,
                         max_size=4),
    mask_ratio=st.sampled_from([0., 0.2, 0.5, 1.0]),
    student_shared=st.booleans(),
    teacher_shared=st.booleans(),
    norm_last_layer=st.booleans(),
    head_norm=st.sampled_from([None, 'LN']),
    weights=st.tuples(st.sampled_from([0., 0.5, 1.]),
                      st.sampled_from([0., 1., 2.])),
    seed=st.integers(0, 1000))
def test_equals_dense_implementation(batch_size, num_global, local_sizes,
                                     mask_ratio, student_shared,
                                     teacher_shared, norm_last_layer,
                                     head_norm, weights, seed):
    if num_global + len(local_sizes) < 2:
        local_sizes = [16]
    model = build_model(
        seed,
        neck=dict(
            shared_head=student_shared,
            norm_last_layer=norm_last_layer,
            norm_cfg=head_norm and dict(type=head_norm)),
        teacher_neck=dict(shared_head=teacher_shared),
        head=dict(loss_weight_cls=weights[0], loss_weight_patch=weights[1]))
    assert_equal_to_dense(model, batch_size, num_global, local_sizes,
                          mask_ratio, seed)


@pytest.mark.parametrize('changes', [
    dict(), dict(drop_path_rate=0.5, drop_path_type='batch')])
def test_register_tokens_and_layer_scale(changes):
    """The same step, and both networks have and update them."""
    model = build_model(backbone=dict(
        num_register_tokens=2, layer_scale_init_value=0.1, **changes))
    if not changes:
        assert_equal_to_dense(model, 2, 2, [16], 0.4, seed=1)
    model.train()
    names = ['backbone.register_tokens',
             'backbone.layers.1.attn.gamma1.weight',
             'backbone.layers.0.ffn.gamma2.weight']
    losses = model.float().loss(batch(2)['inputs'])
    grads = gradients(model, losses)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    model.update_teacher(0.5)
    for name in names:
        assert grads[name].any()
        teacher = f'teacher.{name}'
        torch.testing.assert_close(
            model.state_dict()[teacher], (before[name] + before[teacher]) / 2)
    model.reset_teacher()
    state = model.state_dict()
    for name in names:
        assert torch.equal(state[name], state[f'teacher.{name}'])


@pytest.mark.parametrize('parts, official', [
    (('backbone', ), False), (('backbone', 'neck'), False),
    (('backbone', 'neck'), True)])
def test_a_pre_training_from_weights(tmp_path, parts, official):
    """Student and teacher start from the teacher of the checkpoint."""
    source, path = build_model(seed=1), str(tmp_path / 'epoch_9.pth')
    state = source.state_dict()
    torch.save(to_official_checkpoint(state) if official else dict(
        state_dict=state), path)
    init = dict(init_cfg=dict(type='Pretrained', checkpoint=path))
    model = MODELS.build(model_config(**dict.fromkeys(parts, init)))
    model.init_weights()
    state = model.state_dict()
    for name, value in source.teacher.state_dict().items():
        loaded = name.startswith(parts)
        assert torch.equal(state[name], state[f'teacher.{name}'])
        # Gains of the prototypes are 1 in all networks at first.
        if loaded or value.std() > 0:
            assert torch.equal(state[name], value) == loaded, name
    # What the teacher of a checkpoint has not is new.
    assert not state['backbone.mask_token'].any()
    assert not state['head.center.value'].any()


def test_batch_norm_in_the_head_sees_all_tokens_of_a_call():
    """Statistics are per size of crop: check against calls by hand."""
    model = build_model(neck=dict(norm_cfg=dict(type='BN1d')))
    model.train()
    inputs = batch(3, 2, (16, 16))['inputs']
    merged = merge_views(inputs.global_views)
    cls, patch = model.backbone.extract_tokens(merged.crops, merged.mask)
    local = model.backbone.extract_tokens(
        inputs.local_crops[0].flatten(0, 1))[0]
    z = model.neck.project(torch.cat([cls, patch.flatten(0, 1)]))
    student_cls = model.neck.last_layer(
        torch.cat([z[:len(cls)], model.neck.project(local)])).unflatten(
            0, (-1, 3))
    student_patch = model.neck.patch_layer(
        z[len(cls):][merged.mask.flatten()])
    target = model.teacher_targets(inputs.global_views)
    expected = head_losses(model.head, student_cls, student_patch, target.cls,
                           torch.cat(target.patch), merged.mask_weight)
    for name, value in model.loss(inputs).items():
        torch.testing.assert_close(value, expected[name])


def test_student_and_teacher_share_no_tensor():
    model = build_model(spread=0.)
    student = {
        p.data_ptr()
        for name, p in model.state_dict().items()
        if not name.startswith('teacher.')
    }
    teacher = model.teacher.state_dict()
    assert teacher
    for name, value in teacher.items():
        assert value.data_ptr() not in student, name
    assert not any(p.requires_grad for p in model.teacher.parameters())


def test_teacher_is_a_copy_without_mask_token_and_drop_path():
    model = build_model(spread=0., backbone=dict(drop_path_rate=0.5))
    state = model.state_dict()
    for name, value in model.teacher.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert 'teacher.backbone.mask_token' not in state
    assert model.teacher.backbone.keep_rates is None
    # linspace(0, rate, depth); the first block always keeps its residuals.
    assert model.backbone.keep_rates.flatten().tolist() == [0.5]


def test_update_teacher_by_hand():
    model = build_model()
    before = {k: v.clone() for k, v in model.teacher.state_dict().items()}
    model.update_teacher(0.9)
    student = model.state_dict()
    for name, value in model.teacher.state_dict().items():
        torch.testing.assert_close(value,
                                   0.9 * before[name] + 0.1 * student[name])


def test_patch_layer_of_unshared_teacher_never_moves():
    """Shared student, unshared teacher: no parameter to follow (official)."""
    model = build_model(
        neck=dict(shared_head=True), teacher_neck=dict(shared_head=False))
    before = model.teacher.neck.last_layer2.weight_v.clone()
    model.update_teacher(0.5)
    assert torch.equal(model.teacher.neck.last_layer2.weight_v, before)


def test_loss_needs_two_views():
    model = build_model()
    with pytest.raises(ValueError, match='2 crops.* 1'):
        model.loss(batch(2, 1, ())['inputs'])


def test_prototype_counts_must_agree():
    with pytest.raises(ValueError, match='head.num_prototypes'):
        MODELS.build(model_config(head=dict(num_prototypes=41)))


def test_extract_feat_is_the_teachers_cls():
    model = build_model().eval()
    images = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        expected = model.teacher.backbone(images)[-1]
        torch.testing.assert_close(model(images, mode='tensor'), expected)
        assert not torch.allclose(model.backbone(images)[-1], expected)


@pytest.mark.parametrize(
    'dtype', ['bfloat16', pytest.param('float16', marks=needs_cpu_float16)])
def test_autocast_stays_near_float32(dtype):
    model = build_model(spread=0.05)
    inputs = batch(4)['inputs']
    with torch.no_grad():
        expected = model.loss(inputs)
        model.head.discard_centers()
        with torch.autocast('cpu', dtype=getattr(torch, dtype)):
            losses = model.loss(inputs)
            logits, _ = model.neck(torch.randn(2, 24))
    assert logits.dtype == torch.float32
    for key, value in expected.items():
        assert losses[key].dtype == torch.float32
        # Half precision has 8 to 11 bits; the loss is about log(40) = 3.7.
        assert abs(losses[key] - value) < 0.03 * abs(value)
        assert losses[key] != value


def test_only_masked_patches_reach_the_prototypes(monkeypatch):
    """Only few rows pass through the last layer."""
    model = build_model()
    inputs = batch(4)['inputs']
    rows = []
    layer = type(model.neck.last_layer)
    forward = layer.forward
    monkeypatch.setattr(
        layer, 'forward', lambda self, x:
        (rows.append(x.shape[:-1].numel()), forward(self, x))[1])
    model.loss(inputs)
    masked = sum(int(view.mask.sum()) for view in inputs.global_views)
    # Teacher: CLS, the patch mean, masked patches; student: CLS of the local
    # views, then CLS of the global ones and masked patches.
    assert rows == [8 + masked + 1, 8, 8 + masked]


def test_neck_must_fit_the_backbone():
    """As with model.backbone.arch=base alone on the command line."""
    with pytest.raises(ValueError, match='model.neck.in_channels=24'):
        MODELS.build(model_config(neck=dict(in_channels=32)))


def test_only_a_model_of_a_config_has_one():
    assert not hasattr(build_model(), '_config')
