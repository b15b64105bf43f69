"""What this machine has for a training."""

import os
from typing import NamedTuple

import torch

from ibot_mm.distributed.device import require_usable_gpu


class Machine(NamedTuple):
    """GPUs, memory and cores.

    Attributes:
        gpus: Number of GPUs; 0 if the CPU trains.
        name: Name of the first GPU, or 'CPU'.
        memory: Memory of the first GPU, or of the machine, in bytes.
        cpus: Number of CPUs that this process may use.
    """

    gpus: int
    name: str
    memory: int
    cpus: int

    @classmethod
    def find(cls) -> 'Machine':
        """Look at this machine.

        Raises:
            RuntimeError: There is a GPU that PyTorch cannot use.
        """
        require_usable_gpu()
        cpus = len(os.sched_getaffinity(0))
        if torch.cuda.is_available():
            gpu = torch.cuda.get_device_properties(0)
            return cls(torch.cuda.device_count(), gpu.name, gpu.total_memory,
                       cpus)
        memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES')
        return cls(0, 'CPU', memory, cpus)

    def __str__(self) -> str:
        count = f'{self.gpus} x ' if self.gpus > 1 else ''
        return (f'{count}{self.name}, {self.memory / 2**30:.0f} GiB, '
                f'{self.cpus} CPUs')
