"""k-NN against the official classifier."""

import pytest
import torch

from ibot_mm.evaluation import knn_predict
from tests import golden

META = golden.meta('knn')


@pytest.mark.parametrize('chunk_size', [1, 100, 4096])
@pytest.mark.parametrize('index', range(6))
def test_equals_the_official_classifier(index, chunk_size):
    arrays = golden.load('knn')
    bank, queries = (golden.tensor('knn', key) for key in ('train_x',
                                                           'test_x'))
    labels = golden.tensor('knn', 'test_y')
    ranking = knn_predict(bank, golden.tensor('knn', 'train_y'), queries,
                          int(arrays['k'][index]), META['temperature'],
                          META['num_classes_arg'], chunk_size)
    hits = ranking[:, :5] == labels.unsqueeze(1)
    top1 = 100 * hits[:, 0].double().mean()
    top5 = 100 * hits.any(1).double().mean()
    assert float(top1) == pytest.approx(arrays['top1'][index], abs=1e-9)
    assert float(top5) == pytest.approx(arrays['top5'][index], abs=1e-9)


def test_votes_by_hand():
    """One near neighbour outvotes two far ones, or not, by temperature."""
    bank = torch.tensor([[1., 0.], [0., 1.], [0., 1.]])
    labels = torch.tensor([0, 1, 1])
    query = torch.tensor([[0.8, 0.6]])
    sharp = knn_predict(bank, labels, query, 3, 0.07, 2)
    assert sharp.tolist() == [[0, 1]]  # exp(11.4) > 2 exp(8.6)
    flat = knn_predict(bank, labels, query, 3, 10., 2)
    assert flat.tolist() == [[1, 0]]


def test_bad_input_is_refused():
    x, y = torch.eye(3), torch.arange(3)
    with pytest.raises(ValueError, match='k = 4 needs .* got 3'):
        knn_predict(x, y, x, 4, 0.07, 3)
    with pytest.raises(ValueError, match='NaN'):
        knn_predict(x, y, x * float('nan'), 2, 0.07, 3)
