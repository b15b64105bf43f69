"""Functions run by several processes of a Gloo group."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


def _worker(rank: int, world_size: int, functions: Sequence[Callable],
            folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group(
        'gloo', f'file://{folder}/store', rank=rank, world_size=world_size)
    found = {function.__name__: function(rank, folder)
             for function in functions}
    torch.save(found, folder / f'{rank}.pt')
    # PyTorch 2.1 deadlocks if Gloo frees the tensors of the last collective
    # while the group is destroyed; these are still held here.
    held = torch.zeros(1)
    dist.all_reduce(held)
    dist.destroy_process_group()


def run_processes(functions: Sequence[Callable], folder: Path,
                  world_size: int = 2) -> dict[str, list]:
    """Results of ``function(rank, folder)`` on all ranks, by its name."""
    mp.spawn(_worker, (world_size, functions, folder), nprocs=world_size)
    ranks = [torch.load(folder / f'{rank}.pt', weights_only=False)
             for rank in range(world_size)]
    return {name: [found[name] for found in ranks] for name in ranks[0]}
