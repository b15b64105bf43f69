"""No silent run on the CPU of a machine that has a GPU."""

import os
import re
from pathlib import Path

import torch

# Present while NVIDIA's driver is loaded; containers may have only one.
DRIVER = Path('/proc/driver/nvidia/version')
DEVICE = Path('/dev/nvidiactl')


def driver_version() -> str:
    """Version of NVIDIA's driver, such as 535.104.05; 'unknown' if hidden."""
    text = DRIVER.read_text() if DRIVER.exists() else ''
    found = re.search(r'\b\d{3,}\.\d+(\.\d+)*', text)
    return found[0] if found else 'unknown'


def require_usable_gpu() -> None:
    """Check that PyTorch can use the GPU, if the machine has one.

    ``CUDA_VISIBLE_DEVICES`` set to nothing or to -1 asks for the CPU and
    disables the check.

    Raises:
        RuntimeError: There is a GPU, but PyTorch cannot use it.
    """
    if os.environ.get('CUDA_VISIBLE_DEVICES') in ('', '-1'):
        return
    if torch.cuda.is_available() or not (DRIVER.exists() or DEVICE.exists()):
        return
    reason = 'it sees no device'
    try:
        torch.cuda.init()
    except (RuntimeError, AssertionError) as error:
        reason = str(error).strip().splitlines()[0].rstrip('.')
    build = (f'for CUDA {torch.version.cuda}'
             if torch.version.cuda else 'without CUDA')
    raise RuntimeError(
        f'this machine has a GPU (NVIDIA driver {driver_version()}) that '
        f'PyTorch {torch.__version__}, built {build}, cannot use: {reason}. '
        'Install a build for this driver (docs/get_started.md), or set '
        'CUDA_VISIBLE_DEVICES= (to nothing) to run on the CPU.')
