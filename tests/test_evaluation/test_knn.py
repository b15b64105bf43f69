"""k-NN against the official classifier."""

import pytest
import torch

from ibot_mm.evaluation import Features, KNNClassification, knn_predict
from tests.helpers import golden

META = golden.meta('knn')


@pytest.mark.parametrize('chunks', [(1, 600), (100, 7), (4096, 65536)])
def test_equals_the_official_classifier(chunks):
    arrays = golden.load('knn')
    bank, queries = (golden.tensor('knn', key) for key in ('train_x',
                                                           'test_x'))
    labels = golden.tensor('knn', 'test_y')
    rankings = knn_predict(bank, golden.tensor('knn', 'train_y'), queries,
                           arrays['k'].tolist(), META['temperature'],
                           META['num_classes_arg'], 5, *chunks)
    for k, top1, top5 in zip(arrays['k'], arrays['top1'], arrays['top5']):
        hits = rankings[int(k)] == labels.unsqueeze(1)
        assert hits.shape == (230, 5)
        assert float(100 * hits[:, 0].double().mean()) == pytest.approx(
            top1, abs=1e-9)
        assert float(100 * hits.any(1).double().mean()) == pytest.approx(
            top5, abs=1e-9)


def test_the_protocol_reports_the_same():
    """All k at once, from vectors that are not normalized."""
    arrays = golden.load('knn')
    scale = torch.rand(830, 1) + 0.5
    bank = Features(golden.tensor('knn', 'train_x') * scale[:600],
                    golden.tensor('knn', 'train_y'))
    queries = Features(golden.tensor('knn', 'test_x') * scale[600:],
                       golden.tensor('knn', 'test_y'))
    metrics = KNNClassification(arrays['k'].tolist())(queries, bank, 'cpu')
    for k, top1, top5 in zip(arrays['k'], arrays['top1'], arrays['top5']):
        assert metrics[f'knn/k{k}_top1'] == pytest.approx(top1, abs=1e-4)
        assert metrics[f'knn/k{k}_top5'] == pytest.approx(top5, abs=1e-4)


def test_votes_by_hand():
    """One near neighbor outvotes two far ones, or not, by temperature."""
    bank = torch.tensor([[1., 0.], [0., 1.], [0., 1.]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[0.8, 0.6]])
    sharp = knn_predict(bank, labels, query, [3], 0.07, 2)
    assert sharp[3].tolist() == [[0, 1]]  # exp(11.4) > 2 exp(8.6)
    flat = knn_predict(bank, labels, query, [3], 10., 2)
    assert flat[3].tolist() == [[1, 0]]


def test_classes_without_a_vote_are_not_named():
    bank = torch.eye(3)
    ranking = knn_predict(bank, torch.arange(3), bank[:1], [1], 0.07, 3)
    assert ranking[1].tolist() == [[0, -1, -1]]


def test_fewer_queries_than_neighbors():
    """The official classifier fails below 100 queries."""
    bank = torch.nn.functional.normalize(torch.randn(300, 8), dim=1)
    labels = torch.arange(300) % 3
    ranking = knn_predict(bank, labels, bank[:2], [1, 200], 0.07, 3)
    assert ranking[1][:, 0].tolist() == [0, 1]


def test_bad_input_raises():
    x, y = torch.eye(3), torch.arange(3)
    with pytest.raises(ValueError, match='k = 4 .* 3;'):
        knn_predict(x, y, x, [2, 4], 0.07, 3)
    with pytest.raises(ValueError, match='NaN'):
        knn_predict(x, y, x * float('nan'), [2], 0.07, 3)
    with pytest.raises(ValueError, match='2 classes'):
        knn_predict(x, y, x, [2], 0.07, 2)
