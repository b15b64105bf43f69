"""What crosses processes: centres and the k-NN of uneven shards."""

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ibot_mm.engine.loops.knn_val_loop import _gather
from ibot_mm.models import IBOTHead


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
    rows = _gather(torch.arange(rank + 1.).unsqueeze(1) + 10 * rank)
    torch.save((head.state_dict(), rows), f'{folder}/{rank}.pt')
    dist.destroy_process_group()


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    folder = str(tmp_path_factory.mktemp('ranks'))
    mp.spawn(_worker, (2, folder), nprocs=2)
    return [torch.load(f'{folder}/{rank}.pt') for rank in range(2)]


def test_centres_are_means_over_all_ranks(results):
    for state, _ in results:
        # 0.1 x (3 + 0 + 3, 0 + 6 + 0) / 3 and 0.1 x (2 x 1 + 6 x 5, 8) / 8.
        torch.testing.assert_close(state['center'], torch.tensor([0.2, 0.2]))
        torch.testing.assert_close(state['patch_center'],
                                   torch.tensor([0.4, 0.1]))


def test_uneven_shards_are_gathered_whole(results):
    for _, rows in results:
        assert rows.flatten().tolist() == [0., 10., 11.]
