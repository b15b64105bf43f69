"""Monitoring statistics, and losses beyond the paper, by their formulas."""

import math

import numpy as np
import pytest
import torch

from ibot_mm.engine.token_statistics import TokenStatistics
from ibot_mm.models import IBOTHead, KoLeoLoss
from ibot_mm.models.heads.ibot_head import TeacherTargets
from ibot_mm.models.losses.sinkhorn_knopp import sinkhorn_knopp
from ibot_mm.structures import merge_views
from tests.helpers.builders import batch, build_model, cls_loss, head_losses


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def numpy_statistics(student, teacher, temp, pairs):
    """Means over (student row, teacher row) pairs, in loops."""
    entropies, divergences, agreements = [], [], []
    for s, t in pairs:
        q, p = softmax(student[s] / temp), teacher[t]
        entropies.append(-sum(v * math.log(v) for v in p if v > 0))
        divergences.append(
            sum(v * math.log(v / w) for v, w in zip(p, q) if v > 0))
        agreements.append(float(p.argmax() == q.argmax()))
    return [np.mean(v) for v in (entropies, divergences, agreements)]


@pytest.fixture
def case():
    rng = np.random.default_rng(0)
    num_views, num_global, size, k = 4, 2, 3, 7
    student = rng.normal(0, 0.3, (num_views, size, k))
    teacher = softmax(rng.normal(0, 2, (num_global, size, k)))
    patch, patch_teacher = rng.normal(0, .3, (5, k)), softmax(
        rng.normal(0, 2, (5, k)))
    head = IBOTHead(num_prototypes=k, loss_weight_cls=2., loss_weight_patch=3.)
    head.observer = TokenStatistics()
    # Images of 2, 1 and 2 masked patches out of G B = 6.
    weight = np.array([1 / 12, 1 / 12, 1 / 6, 1 / 12, 1 / 12])
    losses = head_losses(head, *(torch.from_numpy(x) for x in (
        student, patch, teacher, patch_teacher, weight)))
    head.observer.observe_targets(
        TeacherTargets(torch.from_numpy(teacher), []))
    return (student, teacher, patch, patch_teacher, losses, {
        key: float(value) for key, value in head.observer.compute().items()})


def test_cls_statistics_are_those_of_all_pairs(case):
    student, teacher, _, _, losses, statistics = case
    pairs = [((v, b), (q, b)) for b in range(3) for q in range(2)
             for v in range(4) if v != q]
    expected = numpy_statistics(student, teacher, 0.1, pairs)
    assert [statistics[f'{name}_cls'] for name in (
        'entropy', 'kl', 'agreement')] == pytest.approx(expected)
    assert float(cls_loss(losses)) == pytest.approx(2 * sum(expected[:2]))
    # Of 6 pairs, 2 are with a global view of the student.
    shares = [
        sum(numpy_statistics(student, teacher, 0.1, [
            pair for pair in pairs if (pair[0][0] < 2) == is_global])[:2])
        for is_global in (True, False)]
    assert float(losses['loss_cls_global']) == pytest.approx(shares[0] * 2 / 3)
    assert float(losses['loss_cls_local']) == pytest.approx(shares[1] * 4 / 3)


def test_patch_statistics_are_means_over_masked_images(case):
    _, _, student, teacher, losses, statistics = case
    images = [[0, 1], [2], [3, 4]]
    expected = np.mean([
        numpy_statistics(student, teacher, 0.1, [(i, i) for i in image])
        for image in images
    ], axis=0)
    assert [statistics[f'{name}_patch'] for name in (
        'entropy', 'kl', 'agreement')] == pytest.approx(expected)
    # Half of the six views have no mask and count as 0 in the loss.
    assert float(losses['loss_patch']) == pytest.approx(
        3 * sum(expected[:2]) / 2)


def test_fraction_of_prototypes_in_use():
    head = IBOTHead(num_prototypes=8)
    head.observer = TokenStatistics()
    usage = head.observer.usage
    for chosen in ([0, 3, 3, 0], [5, 0, 0, 0]):
        logits = torch.eye(8)[chosen]
        head.targets(logits.clone(), logits[:1].clone(), [0, 1])
    assert float(usage['cls'].fraction_used()) == 3 / 8
    assert float(usage['patch'].fraction_used()) == 2 / 8
    usage['cls'].add(torch.eye(8)[[7]])
    assert float(usage['cls'].fraction_used()) == 1 / 8


def test_statistics_are_asked_for_and_change_no_loss():
    model = build_model()
    data = batch(4)['inputs']
    plain = model.loss(data)
    model.head.observer = statistics = TokenStatistics()
    watched = model.loss(data)
    assert set(plain) == {'loss_cls_local', 'loss_cls_global', 'loss_patch'}
    assert set(watched) == set(plain)
    for name, value in plain.items():
        assert torch.equal(value, watched[name])
    found = statistics.compute()
    torch.testing.assert_close(found['entropy_cls'] + found['kl_cls'],
                               cls_loss(plain).detach())
    assert 0 <= found['agreement_patch'] <= 1
    model.loss(batch(4, mask_ratio=0.)['inputs'])
    found = statistics.compute()
    assert 0 <= found['agreement_cls'] <= 1
    assert all(found[f'{name}_patch'].isnan()
               for name in ('entropy', 'kl', 'agreement'))


def test_sinkhorn_knopp_against_matrix_scaling():
    """SwAV's algorithm in float64 numpy, and what it converges to."""
    rng = np.random.default_rng(1)
    logits = rng.normal(0, 0.1, (12, 5))
    for iterations in (1, 3, 200):
        plan = np.exp(logits.T / 0.05)
        plan /= plan.sum()
        for _ in range(iterations):
            plan /= plan.sum(1, keepdims=True) * 5
            plan /= plan.sum(0, keepdims=True) * 12
        result = sinkhorn_knopp(
            torch.from_numpy(logits), 0.05, iterations).numpy()
        np.testing.assert_allclose(result, plan.T * 12, rtol=1e-10)
    np.testing.assert_allclose(result.sum(0), 12 / 5, rtol=1e-6)
    np.testing.assert_allclose(result.sum(1), 1)


def test_sinkhorn_knopp_bears_large_logits_and_no_tokens():
    logits = torch.tensor([[4000., 0., 0.], [0., 4000., 0.]])
    result = sinkhorn_knopp(logits, 0.04)
    assert torch.isfinite(result).all()
    assert result.argmax(1).tolist() == [0, 1]
    assert sinkhorn_knopp(torch.zeros(0, 3), 0.04).shape == (0, 3)


def test_head_with_sinkhorn_knopp_has_no_moving_center():
    model = build_model(head=dict(centering='sinkhorn_knopp'))
    center = model.head.center.value.clone()
    losses = model.loss(batch(8)['inputs'])
    sum(losses.values()).backward()
    model.head.update_centers()
    assert torch.equal(model.head.center.value, center)
    name = 'loss_cls_global'
    assert not torch.isclose(losses[name],
                             build_model().loss(batch(8)['inputs'])[name])
    with pytest.raises(ValueError, match='centering'):
        IBOTHead(centering='softmax')


def test_koleo_by_hand():
    # On the unit circle at 0, 90, 100 and 240 degrees: the nearest are 90, 10,
    # 10 and 120 degrees away; a chord is 2 sin(angle / 2).
    angles = torch.tensor([0., 90., 100., 240.]).deg2rad()
    lengths = torch.tensor([1., 2., 3., 4.]).unsqueeze(1)
    x = torch.stack([angles.cos(), angles.sin()], 1) * lengths
    chords = [2 * math.sin(math.radians(a) / 2) for a in (90, 10, 10, 120)]
    expected = -0.5 * np.mean(np.log(chords))
    loss = KoLeoLoss(loss_weight=0.5, min_batch=4)
    assert float(loss(x.unsqueeze(0))) == pytest.approx(expected, rel=1e-5)
    # Views do not see each other.
    both = loss(torch.stack([x, x]))
    assert float(both) == pytest.approx(expected, rel=1e-5)


def test_koleo_is_guarded():
    loss = KoLeoLoss(min_batch=3)
    few = torch.randn(2, 2, 4, requires_grad=True)
    assert float(loss(few)) == 0
    duplicates = torch.ones(1, 5, 4, requires_grad=True)
    value = loss(duplicates)
    value.backward()
    assert torch.isfinite(value) and torch.isfinite(duplicates.grad).all()
    with pytest.raises(ValueError, match='min_batch'):
        KoLeoLoss(min_batch=1)


def test_koleo_spreads_the_student_only():
    model = build_model(koleo=dict(min_batch=4, loss_weight=1.))
    losses = model.loss(batch(4)['inputs'])
    merged = merge_views(batch(4)['inputs'].global_views)
    tokens, _ = model.backbone.extract_tokens(merged.crops, merged.mask)
    x = torch.nn.functional.normalize(tokens.unflatten(0, (2, 4)), dim=-1)
    distance = torch.cdist(x, x) + 9 * torch.eye(4)
    expected = -distance.min(-1).values.log().mean()
    torch.testing.assert_close(losses['loss_koleo'], expected, rtol=1e-4,
                               atol=1e-5)
    losses['loss_koleo'].backward()
    assert model.backbone.cls_token.grad.abs().sum() > 0
    assert model.neck.mlp[0].weight.grad is None


def test_swiglu_of_mmpretrain():
    """w3(silu(w1 x) * (w2 x)), Shazeer, arXiv 2002.05202, equation 6."""
    model = build_model(backbone=dict(layer_cfgs=dict(
        ffn_type='swiglu_fused')))
    layer = model.backbone.layers[0]
    x = torch.randn(3, 5, 24)
    w1, w2 = layer.ffn.w12.weight.chunk(2)
    b1, b2 = layer.ffn.w12.bias.chunk(2)
    gate = x @ w1.T + b1
    hidden = gate / (1 + (-gate).exp()) * (x @ w2.T + b2)
    expected = hidden @ layer.ffn.w3.weight.T + layer.ffn.w3.bias
    torch.testing.assert_close(layer.ffn(x), expected)
    sum(model.loss(batch(2)['inputs']).values()).backward()
    assert layer.ffn.w3.weight.grad.abs().sum() > 0


def test_prototypes_of_their_own_for_each_token_kind():
    model = build_model(
        neck=dict(shared_head=False, num_patch_prototypes=24),
        head=dict(num_patch_prototypes=24))
    data = batch(4)['inputs']
    losses = model.loss(data)
    grads = torch.autograd.grad(
        cls_loss(losses),
        [model.neck.last_layer.weight_v, model.neck.last_layer2.weight_v],
        allow_unused=True, retain_graph=True)
    assert grads[0].abs().sum() > 0
    assert grads[1] is None or grads[1].abs().sum() == 0
    grads = torch.autograd.grad(
        losses['loss_patch'],
        [model.neck.last_layer.weight_v, model.neck.last_layer2.weight_v],
        allow_unused=True)
    assert grads[0] is None or grads[0].abs().sum() == 0
    assert grads[1].shape == (24, 16) and grads[1].abs().sum() > 0
