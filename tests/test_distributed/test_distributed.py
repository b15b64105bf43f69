"""Results that processes share: centers, statistics, features, k-NN."""

import math

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch.utils.data import DataLoader

from ibot_mm.engine import TrainingHealthHook
from ibot_mm.engine.optimizers.nonfinite_check import NonfiniteCheck
from ibot_mm.evaluation import Features, KNNClassification, extract_features
from ibot_mm.evaluation.features import gather_rows
from ibot_mm.models import IBOTHead
from ibot_mm.models.losses.sinkhorn_knopp import sinkhorn_knopp
from ibot_mm.models.losses.token_statistics import PrototypeUsage
from tests.test_evaluation.test_features import AsIs, Numbers, collate

TOKENS = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def _knn_data():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(20) % 4
    vectors = torch.randn(20, 3, generator=generator) + labels.unsqueeze(1)
    return (Features(vectors[:7], labels[:7]),
            Features(vectors[7:], labels[7:]))


def _checked(rank):
    """Results for three losses, of which rank 1's second is non-finite."""
    check, found = NonfiniteCheck(), []
    for losses in ((1., 2.), (1., math.nan), (1., 2.)):
        check.add(torch.tensor(losses[rank]))
        found.append(check.all_finite())
    return found


def _worker(rank, world_size, folder):
    dist.init_process_group(
        'gloo',
        init_method=f'file://{folder}/store',
        rank=rank,
        world_size=world_size)
    head = IBOTHead(num_prototypes=2)
    # Rank 0 has one CLS token and two patches, rank 1 two and six.
    if rank == 0:
        head.collect_centers(
            torch.tensor([[3., 0.]]), torch.tensor([1., 4.]), 2)
    else:
        head.collect_centers(
            torch.tensor([[0., 6.], [3., 0.]]), torch.tensor([5., 0.]), 6)
    head.update_centers()
    tokens = TOKENS[:3] if rank == 0 else TOKENS[3:]
    plan = sinkhorn_knopp(tokens, 0.1)
    usage = PrototypeUsage(4)
    usage.add(torch.tensor([rank, 3]))
    # Only rank 1 has collapsed and diverged; both have to stop.
    hook = TrainingHealthHook(interval=1, samples=1)
    hook._entropies = [torch.tensor([[0.5, 0.5], [0.001, 0.999]][rank])]
    weights = torch.nn.Linear(1, 1)
    torch.nn.init.constant_(weights.weight, [1., math.inf][rank])
    hook._update_counts(weights)
    found = dict(
        plan=plan,
        used=usage.fraction_used(),
        counts=[hook.bad_weights, *hook.collapsed.values()],
        finite=_checked(rank))
    # Samplers give the second rank a sample that the first has already.
    indices = [[0, 2, 4, 6], [1, 3, 5, 0]][rank]
    loader = DataLoader(Numbers(7), batch_size=2, sampler=indices,
                        collate_fn=collate)
    found['features'] = extract_features(
        lambda x: x.flatten(1), AsIs(), loader)
    found['knn'] = KNNClassification([1, 3])(*_knn_data(), 'cpu')
    rows = gather_rows(torch.arange(rank + 1.).unsqueeze(1) + 10 * rank)
    torch.save((head.state_dict(), rows, found), f'{folder}/{rank}.pt')
    # PyTorch 2.1 deadlocks if Gloo frees the tensors of the last collective
    # while the group is destroyed; these are still held here.
    held = torch.zeros(1)
    dist.all_reduce(held)
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('ranks'))
    mp.spawn(_worker, (2, folder), nprocs=2)
    return [
        torch.load(f'{folder}/{rank}.pt', weights_only=False)
        for rank in range(2)
    ]


def test_centers_are_means_over_all_ranks(results):
    for state, *_ in results:
        # 0.1 x (3 + 0 + 3, 0 + 6 + 0) / 3 and 0.1 x (2 x 1 + 6 x 5, 8) / 8.
        torch.testing.assert_close(state['center'], torch.tensor([0.2, 0.2]))
        torch.testing.assert_close(state['patch_center'],
                                   torch.tensor([0.4, 0.1]))


def test_uneven_shards_are_gathered(results):
    for _, rows, _ in results:
        assert rows.flatten().tolist() == [0., 10., 11.]


def test_features_of_all_ranks_in_the_order_of_the_data_set(results):
    for *_, found in results:
        vectors, labels = found['features']
        assert vectors[:, 0].tolist() == [0., 1., 2., 3., 4., 5., 6.]
        assert labels.tolist() == [0, 1, 2, 0, 1, 2, 0]


def test_k_nn_shared_by_ranks_equals_that_of_one(results):
    alone = KNNClassification([1, 3])(*_knn_data(), 'cpu')
    assert 0 < alone['knn/k1_top1'] < 100
    assert [found['knn'] for *_, found in results] == [alone, alone]


def test_sinkhorn_knopp_counts_the_tokens_of_all_ranks(results):
    """Ranks with 3 and 4 tokens: as one process with all 7."""
    plan = torch.cat([found['plan'] for *_, found in results])
    torch.testing.assert_close(plan, sinkhorn_knopp(TOKENS, 0.1))
    alone = sinkhorn_knopp(TOKENS[:3], 0.1)
    assert not torch.allclose(plan[:3], alone, atol=1e-2)


def test_prototypes_in_use_are_those_of_any_rank(results):
    # Rank 0 used 0 and 3, rank 1 used 1 and 3.
    assert [float(found['used']) for *_, found in results] == [0.75, 0.75]


def test_all_ranks_see_the_worst_of_them(results):
    for *_, found in results:
        assert found['counts'] == [1, 1, 1]
        assert found['finite'] == [True, False, True]
