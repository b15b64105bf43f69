"""Projection head and losses compared with formulas derived by hand."""

import math

import pytest
import torch
import torch.nn.functional as F

from ibot_mm.models import IBOTHead, IBOTNeck
from tests.helpers.builders import cls_loss, head_losses


def neck(**changes):
    torch.manual_seed(0)
    cfg = dict(
        in_channels=6,
        hidden_channels=8,
        bottleneck_channels=4,
        num_prototypes=10)
    return IBOTNeck(**{**cfg, **changes})


def test_neck_equals_torchs_weight_norm():
    """Reference implementation with torch's weight_norm."""
    ours = neck(norm_last_layer=False)
    with torch.no_grad():
        ours.last_layer.weight_g.uniform_(0.5, 2)
    with pytest.warns((FutureWarning, UserWarning)):
        reference = torch.nn.utils.weight_norm(
            torch.nn.Linear(4, 10, bias=False))
    reference.load_state_dict(ours.last_layer.state_dict())
    cls, patch = torch.randn(2, 6), torch.randn(2, 3, 6)
    ours_cls, ours_patch = ours(cls, patch.flatten(0, 1))
    ours_patch = ours_patch.unflatten(0, (2, 3))
    torch.testing.assert_close(
        ours_cls, reference(F.normalize(ours.mlp(cls), dim=-1)))
    torch.testing.assert_close(
        ours_patch, reference(F.normalize(ours.mlp(patch), dim=-1)))


def test_unshared_layers_serve_their_own_tokens():
    model = neck(shared_head=False, num_patch_prototypes=7)
    z = F.normalize(torch.randn(3, 4), dim=-1)
    assert model.logits(z, z)[0].shape == (3, 10)
    assert model.logits(z, z)[1].shape == (3, 7)
    directions = F.normalize(model.last_layer2.weight_v, dim=1)
    torch.testing.assert_close(model.logits(z, z)[1], z @ directions.T)


def test_norm_last_layer_fixes_the_gain_and_nothing_else():
    fixed, free = neck(norm_last_layer=True), neck(norm_last_layer=False)
    assert not fixed.last_layer.weight_g.requires_grad
    assert free.last_layer.weight_g.requires_grad
    assert fixed.last_layer.weight_v.requires_grad
    for model in (fixed, free):
        assert torch.equal(model.last_layer.weight_g, torch.ones(10, 1))


@pytest.mark.parametrize('layers', [2, 3, 4])
def test_one_norm_module_at_every_position(layers):
    model = neck(num_layers=layers, norm_cfg=dict(type='LN'))
    norms = [m for m in model.mlp if isinstance(m, torch.nn.LayerNorm)]
    assert len(norms) == layers - 1
    assert all(norm is norms[0] for norm in norms)
    assert not model.uses_batch_statistics
    assert neck(norm_cfg=dict(type='SyncBN')).uses_batch_statistics


def test_neck_initialization():
    torch.manual_seed(0)
    model = IBOTNeck(384, norm_last_layer=False)
    model.init_weights()
    for layer in model.mlp[::2]:
        assert abs(layer.weight.std() - 0.02) < 0.0005
        assert not layer.bias.any()
    # nn.Linear's default: uniform within 1 / sqrt(fan in).
    assert abs(model.last_layer.weight_v.abs().max() - 1 / 16) < 1e-4
    assert sum(p.numel() for p in model.parameters()) == (
        384 * 2048 + 2048 + 2048**2 + 2048 + 2048 * 256 + 256 + 8192 * 257)


def test_shared_head_needs_equal_sizes():
    with pytest.raises(ValueError, match='shared head'):
        neck(num_patch_prototypes=5)


def test_losses_by_hand():
    """Two prototypes, one image, two global and one local view."""
    head = IBOTHead(num_prototypes=2, student_temp=0.5)
    student = torch.tensor([[[1., 0.]], [[0., 1.]], [[0., 0.]]])
    teacher = torch.tensor([[[0.8, 0.2]], [[0.3, 0.7]]])

    def cross_entropy(target, logits):
        total = sum(math.exp(x / 0.5) for x in logits)
        return -sum(
            t * (x / 0.5 - math.log(total)) for t, x in zip(target, logits))

    # Pairs (teacher, student): (0, 1), (0, 2), (1, 0), (1, 2).
    expected_cls = (
        cross_entropy([0.8, 0.2], [0, 1]) + cross_entropy([0.8, 0.2], [0, 0]) +
        cross_entropy([0.3, 0.7], [1, 0]) +
        cross_entropy([0.3, 0.7], [0, 0])) / 4
    # Two masked patches in one image of two global views of one image.
    patch_student = torch.tensor([[2., 0.], [0., 1.]])
    patch_teacher = torch.tensor([[0.9, 0.1], [0.5, 0.5]])
    weight = torch.tensor([0.25, 0.25])
    expected_patch = (cross_entropy([0.9, 0.1], [2, 0]) +
                      cross_entropy([0.5, 0.5], [0, 1])) / 2 / 2
    losses = head_losses(head, student, patch_student, teacher, patch_teacher,
                         weight)
    assert math.isclose(cls_loss(losses), expected_cls, rel_tol=1e-6)
    assert math.isclose(losses['loss_patch'], expected_patch, rel_tol=1e-6)


def test_teacher_distributions_by_hand():
    head = IBOTHead(
        num_prototypes=2, teacher_temp=0.5, teacher_patch_temp=0.25)
    head.center.value.copy_(torch.tensor([0.5, 0.]))
    head.patch_center.value.copy_(torch.tensor([0., 1.]))
    cls, patch = head.targets(
        torch.tensor([[1., 0.]]), torch.tensor([[1., 1.]]), [1])
    assert cls.shape == (1, 1, 2) and len(patch) == 1
    sharp = math.exp(0.5 / 0.5)
    assert math.isclose(cls[0, 0, 0], sharp / (sharp + 1), rel_tol=1e-6)
    sharp = math.exp(1 / 0.25)
    assert math.isclose(patch[0][0, 0], sharp / (sharp + 1), rel_tol=1e-6)


def test_centers_weigh_what_was_collected_by_its_size():
    head = IBOTHead(
        num_prototypes=1, center_momentum=0.9, patch_center_momentum=0.8)
    head.center.value.fill_(10.)
    head.patch_center.value.fill_(10.)
    head.collect_centers(torch.tensor([[1.], [2.]]), torch.tensor([4.]), 6)
    head.collect_centers(torch.tensor([[6.]]), torch.tensor([1.]), 3)
    assert head.center.value.item() == 10.  # nothing moves before the step
    head.update_centers()
    assert math.isclose(head.center.value.item(), 9 + 0.1 * 3, rel_tol=1e-6)
    assert math.isclose(head.patch_center.value.item(), 8 + 0.2 * 3,
                        rel_tol=1e-6)
    before = head.center.value.clone()
    head.update_centers()
    assert torch.equal(head.center.value, before)
    head.collect_centers(torch.tensor([[1.]]), torch.tensor([4.]), 6)
    head.discard_centers()
    head.update_centers()
    assert torch.equal(head.center.value, before)


def test_centers_are_saved_and_pending_sums_are_not():
    head = IBOTHead(num_prototypes=3)
    head.collect_centers(torch.ones(1, 3), torch.ones(3), 2)
    assert set(head.state_dict()) == {'center.value', 'patch_center.value'}


@pytest.mark.parametrize('settings', [
    dict(student_temp=0.), dict(teacher_temp=-0.1),
    dict(teacher_patch_temp=math.nan), dict(center_momentum=1.5),
    dict(num_prototypes=0), dict(num_patch_prototypes=-1)])
def test_settings_of_the_head_out_of_range(settings):
    with pytest.raises(ValueError, match='IBOTHead'):
        IBOTHead(**settings)


@pytest.mark.parametrize('settings,name', [
    (dict(num_prototypes=0), 'num_prototypes'),
    (dict(hidden_channels=-1), 'hidden_channels'),
    (dict(norm_cfg=dict(type='BN')), 'BN1d')])
def test_settings_of_the_neck_out_of_range(settings, name):
    with pytest.raises(ValueError, match=name):
        neck(**settings)
