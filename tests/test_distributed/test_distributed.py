"""Results that processes share: centers, statistics, features, k-NN."""

import math
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch.utils.data import DataLoader

from ibot_mm.datasets.transforms import ImageDecodeError
from ibot_mm.engine import TrainingHealthError, TrainingHealthHook
from ibot_mm.engine.optimizers.nonfinite_check import NonfiniteCheck
from ibot_mm.engine.token_statistics import PrototypeUsage
from ibot_mm.evaluation import (
    Features,
    FrozenTeacher,
    KNNClassification,
    KNNSegmentation,
    ViewDataset,
    extract_features,
)
from ibot_mm.evaluation.features import gather_rows
from ibot_mm.evaluation.robustness.perturbation_accuracy import (
    PerturbationAccuracy,
)
from ibot_mm.evaluation.views import extract_views
from ibot_mm.models import IBOTHead
from ibot_mm.models.losses.sinkhorn_knopp import sinkhorn_knopp
from tests.helpers.features import AsIs, Numbers, collate
from tests.helpers.health import GivenEntropies, HealthRunner
from tests.helpers.processes import run_processes

SPLITS = ('training', 'validation')
TOKENS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def _knn_data():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 4
    vectors = torch.randn(20, 3, generator=generator) + labels.unsqueeze(1)
    return (Features(vectors[:7], labels[:7]),
            Features(vectors[7:], labels[7:]))


def centers(rank, folder):
    """Rank 0 has one CLS token and two patches, rank 1 two and six."""
    head = IBOTHead(num_prototypes=2)
    if rank == 0:
        head.collect_centers(
            torch.tensor([[3., 0.]]), torch.tensor([1., 4.]), 2)
    else:
        head.collect_centers(
            torch.tensor([[0., 6.], [3., 0.]]), torch.tensor([5., 0.]), 6)
    head.update_centers()
    return head.state_dict()


def sinkhorn(rank, folder):
    return sinkhorn_knopp(TOKENS[:3] if rank == 0 else TOKENS[3:], 0.1)


def prototype_usage(rank, folder):
    usage = PrototypeUsage()
    usage.add(torch.eye(4)[[rank, 3]])
    return float(usage.fraction_used())


def perturbations(rank, folder):
    """Rank 0 has one image, rank 1 three."""
    accuracy = PerturbationAccuracy([('clean', '')], 1)
    accuracy.add('clean', '', 0, torch.tensor([True]) if rank == 0 else
                 torch.tensor([False, False, True]))
    accuracy.reduce()
    return accuracy.metrics()


def collapse(rank, folder):
    """Only rank 1 has collapsed."""
    hook, runner = TrainingHealthHook(1, 1, patience=1), HealthRunner(folder)
    hook.statistics = GivenEntropies()
    hook.statistics.cls = [0.5, 0.001][rank]
    return health_error(hook, runner)


def divergence(rank, folder):
    """Only rank 1 has a non-finite weight."""
    hook, runner = TrainingHealthHook(1, 1), HealthRunner(folder)
    hook.statistics = GivenEntropies()
    torch.nn.init.constant_(runner.model.backbone.cls_token,
                            [1., math.inf][rank])
    return health_error(hook, runner)


def health_error(hook, runner):
    for usage in hook.statistics.usage.values():
        usage.add(torch.eye(40)[:1])
    hook.before_train_iter(runner, 0)
    try:
        hook.after_train_iter(runner, 0)
    except TrainingHealthError as error:
        return str(error)


def finite_losses(rank, folder):
    """Three losses, of which rank 1's second is non-finite."""
    check, found = NonfiniteCheck(), []
    for losses in ((1., 2.), (1., math.nan), (1., 2.)):
        check.add(torch.tensor(losses[rank]))
        found.append(check.all_finite())
    return found


def features(rank, folder):
    """Samplers give the second rank a sample that the first has already."""
    loader = DataLoader(Numbers(7), batch_size=2, collate_fn=collate,
                        sampler=[[0, 2, 4, 6], [1, 3, 5, 0]][rank])
    return extract_features(lambda x: x.flatten(1), AsIs(), loader)


def knn(rank, folder):
    return KNNClassification([1, 3])(*_knn_data(), 'cpu')


class Tokens(torch.nn.Module):
    """Tokens are patches of 4 x 4 pixels, the CLS token is their mean."""

    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def extract_tokens(self, images):
        tokens = F.unfold(images, 4, stride=4).transpose(1, 2)
        return tokens.mean(1), tokens


class Noise:
    """Images of random colors; the fourth of seven cannot be read."""

    pipeline = SimpleNamespace(transforms=[dict])

    def __len__(self):
        return 7

    def get_data_info(self, index):
        if index == 3:
            raise ImageDecodeError('is empty')
        return dict(img=np.random.default_rng(index).integers(
            0, 256, (30, 40, 3)).astype(np.uint8))


def views(rank, folder):
    return tuple(extract_views(
        Tokens(), AsIs(), ViewDataset(Noise(), num_views=3, size=16), 2, 0))


def write_label_maps(folder):
    """Three images to train and five to validate, of noise."""
    for i in range(8):
        rng, split = np.random.default_rng(i), SPLITS[i > 2]
        for kind, suffix, levels, shape in (
                ('images', 'jpg', 256, (16, 16, 3)),
                ('annotations', 'png', 4, (16, 16))):
            path = folder / kind / split / f'{i}.{suffix}'
            path.parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(path), rng.integers(
                0, levels, shape).astype(np.uint8))


def segmentation(rank, folder):
    model = torch.nn.Module()
    model.teacher = torch.nn.ModuleDict(dict(backbone=Tokens()))
    return KNNSegmentation(str(folder), 3, 16, bank_size=24, k=3)(
        FrozenTeacher(model, AsIs(), None, None, 2, 0))


def rows(rank, folder):
    return gather_rows(torch.arange(rank + 1.).unsqueeze(1) + 10 * rank)


FUNCTIONS = (centers, sinkhorn, prototype_usage, collapse, divergence,
             finite_losses, features, knn, views,
             segmentation, rows, perturbations)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    """What each function returns on two ranks."""
    folder = tmp_path_factory.mktemp('ranks')
    write_label_maps(folder)
    return dict(run_processes(FUNCTIONS, folder), folder=folder)


def test_centers_are_means_over_all_ranks(results):
    for state in results['centers']:
        # 0.1 x (3 + 0 + 3, 0 + 6 + 0) / 3 and 0.1 x (2 x 1 + 6 x 5, 8) / 8.
        torch.testing.assert_close(state['center.value'],
                                   torch.tensor([0.2, 0.2]))
        torch.testing.assert_close(state['patch_center.value'],
                                   torch.tensor([0.4, 0.1]))


def test_uneven_shards_are_gathered(results):
    for rows in results['rows']:
        assert rows.flatten().tolist() == [0., 10., 11.]


def test_features_of_all_ranks_in_the_order_of_the_data_set(results):
    for vectors, labels in results['features']:
        assert vectors[:, 0].tolist() == [0., 1., 2., 3., 4., 5., 6.]
        assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_k_nn_shared_by_ranks_equals_that_of_one(results):
    alone = KNNClassification([1, 3])(*_knn_data(), 'cpu')
    assert 0 < alone['knn/k1_top1'] < 100
    assert results['knn'] == [alone, alone]


def test_each_image_counts_once_with_dropped_patches(results):
    assert results['perturbations'] == [dict(clean=50.)] * 2


def test_sinkhorn_knopp_counts_the_tokens_of_all_ranks(results):
    """Ranks with 3 and 4 tokens: as one process with all 7."""
    plan = torch.cat(results['sinkhorn'])
    torch.testing.assert_close(plan, sinkhorn_knopp(TOKENS, 0.1))
    alone = sinkhorn_knopp(TOKENS[:3], 0.1)
    assert not torch.allclose(plan[:3], alone, atol=1e-2)


def test_prototypes_in_use_are_those_of_any_rank(results):
    # Rank 0 used 0 and 3, rank 1 used 1 and 3.
    assert results['prototype_usage'] == [0.75, 0.75]


def test_all_ranks_stop_with_the_worst_of_them(results):
    assert all('one-hot' in message for message in results['collapse'])
    assert all('non-finite' in message for message in results['divergence'])


def test_all_ranks_skip_the_step_of_a_non_finite_loss(results):
    assert results['finite_losses'] == [[True, False, True]] * 2


def test_each_image_has_its_views_once(results):
    """The same on two ranks as in this process, of six images."""
    vectors, *counts = views(0, None)
    assert vectors.shape == (6, 3, 48)
    for found in results['views']:
        torch.testing.assert_close(found[0], vectors)
        assert found[1:] == pytest.approx(counts)


def test_segmentation_shared_by_ranks_equals_that_of_one(results):
    expected = segmentation(0, results['folder'])
    assert 0 < expected['quality/knn_mIoU'] < 60
    for found in results['segmentation']:
        assert found == pytest.approx(expected)
