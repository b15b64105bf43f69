"""Process group for exchanges between CPUs."""

import logging
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from mmengine.dist import all_reduce, barrier
from mmengine.logging import print_log

# Otherwise gloo tries to connect for half an hour.
PATIENCE = timedelta(minutes=1)


def cpu_group() -> Any:
    """Group of all processes whose collectives do not involve a GPU.

    It uses gloo. If gloo cannot connect the nodes (a host name that resolves
    to an address that other nodes do not reach), the main group takes its
    place, and the log says so.

    Returns:
        The group; None for the main one. The same choice on all ranks.
    """
    barrier()  # some ranks may have needed minutes to get here
    trial, reason = None, 'on another rank'
    try:
        trial = dist.new_group(backend='gloo', timeout=PATIENCE)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[0]
    failed = torch.tensor([trial is None], dtype=torch.int64)
    all_reduce(failed, op='max')
    if trial is not None:
        dist.destroy_process_group(trial)
    if not failed:
        return dist.new_group(backend='gloo')  # with the usual timeout
    print_log(
        f'gloo cannot connect the processes ({reason}): signals are exchanged '
        'through the main process group, which waits for the GPUs. Set '
        'GLOO_SOCKET_IFNAME to the network interface that connects the nodes.',
        logger='current',
        level=logging.WARNING)
    return None
