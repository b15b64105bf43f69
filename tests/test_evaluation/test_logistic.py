"""Logistic regression against its own optimality condition."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ibot_mm.evaluation import Features, LogisticRegression


def data(count, seed):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (count, ), generator=generator)
    centers = torch.randn(3, 6, generator=torch.Generator().manual_seed(0))
    noise = torch.randn(count, 6, generator=generator)
    return Features(centers[labels] + 1.2 * noise, labels)


def by_newton(features, labels, strength, classes=3):
    """Minimize the sum of cross-entropies + strength / 2 ||W||^2."""
    x = F.normalize(features, dim=1).double()
    weight = torch.zeros(classes, x.shape[1], dtype=torch.float64,
                         requires_grad=True)
    solver = torch.optim.LBFGS([weight], max_iter=500, tolerance_grad=1e-10,
                               tolerance_change=1e-14,
                               line_search_fn='strong_wolfe')

    def closure():
        solver.zero_grad()
        loss = F.cross_entropy(x @ weight.T, labels, reduction='sum') + (
            strength / 2 * weight.square().sum())
        loss.backward()
        return loss

    solver.step(closure)
    return weight.detach()


@pytest.mark.parametrize('strength', [0.01, 0.1, 1.])
def test_accuracy_of_the_minimum(strength):
    bank, queries = data(300, 1), data(200, 2)
    weight = by_newton(*bank, strength)
    predicted = (F.normalize(queries.vectors, dim=1).double()
                 @ weight.T).argmax(1)
    wanted = 100 * float((predicted == queries.labels).double().mean())
    metrics = LogisticRegression([strength])(queries, bank, 'cpu')
    assert metrics['logistic/top1'] == pytest.approx(wanted, abs=1e-6)
    assert 40 < wanted < 100


def test_the_best_lambda_is_named():
    bank, queries = data(60, 1), data(200, 2)
    metrics = LogisticRegression()(queries, bank, 'cpu')
    by_lambda = {s: metrics[f'logistic/lambda{s:g}'] for s in (0.01, 0.1, 1)}
    assert metrics['logistic/top1'] == max(by_lambda.values())
    assert by_lambda[metrics['logistic/lambda']] == metrics['logistic/top1']


def test_bad_input():
    bank = data(50, 1)
    with pytest.raises(ValueError, match='classes'):
        LogisticRegression()(bank, Features(
            bank.vectors, torch.zeros(50, dtype=torch.long)), 'cpu')
    with pytest.raises(RuntimeError, match='lambda = 0.01 .*max_iter'):
        LogisticRegression(max_iter=1)(bank, bank, 'cpu')


def test_scale_of_the_features_does_not_matter():
    bank, queries = data(100, 1), data(100, 2)
    scale = torch.from_numpy(np.random.default_rng(0).uniform(
        0.1, 9, (100, 1))).float()
    assert LogisticRegression()(queries, bank, 'cpu') == LogisticRegression()(
        Features(queries.vectors * scale, queries.labels),
        Features(bank.vectors * scale, bank.labels), 'cpu')


@pytest.mark.parametrize('strength', [0.01, 1.])
def test_many_classes_reach_the_minimum(strength):
    """With many classes gradients are small long before the minimum."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(200).repeat_interleave(4)
    centers = torch.randn(200, 24, generator=generator)
    vectors = centers[labels] + torch.randn(800, 24, generator=generator)
    bank = Features(vectors, labels)
    solver = LogisticRegression([strength])
    x = F.normalize(vectors, dim=1).double()
    found = torch.from_numpy(solver.fit(bank, strength).coef_).double()
    best = by_newton(vectors, labels, strength, 200)

    def objective(weight):
        return F.cross_entropy(x @ weight.T, labels, reduction='sum') + (
            strength / 2 * weight.square().sum())

    assert objective(found) == pytest.approx(float(objective(best)), rel=1e-3)
    predicted = (x @ found.T).argmax(1)
    assert float((predicted == (x @ best.T).argmax(1)).double().mean()) > 0.99
