"""Distributed launch: CPU processes and Slurm's rendezvous."""

import os
import subprocess
from datetime import timedelta

import torch
from mmengine.config import Config

from .device import require_usable_gpu


def first_node() -> str:
    """Name of the first node of this job step, as MMEngine determines it.

    Raises:
        RuntimeError: Slurm's ``scontrol`` fails.
    """
    nodes = os.environ.get('SLURM_STEP_NODELIST',
                           os.environ.get('SLURM_NODELIST', ''))
    try:
        found = subprocess.run(['scontrol', 'show', 'hostnames', nodes],
                               check=True,
                               capture_output=True,
                               text=True).stdout.split()
        return found[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise RuntimeError(
            f'scontrol did not resolve the nodes "{nodes}": set MASTER_ADDR '
            f'to the address of the first one ({error}).') from error


def set_slurm_rendezvous() -> None:
    """Set ``torchrun``'s environment variables from those of ``srun``.

    ``LOCAL_RANK``, the index of the GPU, is 0 if the process sees a single
    one, as with ``--gpus-per-task`` or ``--gpu-bind=single``.

    ``MASTER_ADDR`` and ``MASTER_PORT`` are kept if set. The default port is
    derived from the numbers of job and step, because with MMEngine's, 29500
    for all, jobs that share a node would collide.

    Raises:
        RuntimeError: ``srun`` did not start this process.
    """
    env = os.environ
    missing = [
        name for name in ('SLURM_JOB_ID', 'SLURM_PROCID', 'SLURM_NTASKS',
                          'SLURM_LOCALID') if name not in env
    ]
    if missing:
        raise RuntimeError(
            '--launcher slurm is for processes that srun started '
            f'(tools/slurm_train.sh): {", ".join(missing)} not set.')
    if torch.cuda.device_count() == 1:
        env['SLURM_LOCALID'] = '0'  # MMEngine reads this one
    env['RANK'] = env['SLURM_PROCID']
    env['LOCAL_RANK'] = env['SLURM_LOCALID']
    env['WORLD_SIZE'] = env['SLURM_NTASKS']
    if 'MASTER_ADDR' not in env:
        env['MASTER_ADDR'] = first_node()
    job, step = int(env['SLURM_JOB_ID']), int(env.get('SLURM_STEP_ID', 0))
    env.setdefault('MASTER_PORT', str(10000 + (10 * job + step) % 20000))


def start_gloo(launcher: str, timeout: float | None = None) -> None:
    """Initialize the process group of CPU processes.

    Args:
        launcher: Value of ``--launcher``.
        timeout: Timeout of collectives in seconds; None for PyTorch's.

    Raises:
        RuntimeError: The launcher does not support CPU processes.
    """
    if launcher not in ('pytorch', 'slurm'):
        raise RuntimeError(
            'there is no GPU here: several CPU processes need --launcher '
            'pytorch (tools/dist_train.sh) or slurm (tools/slurm_train.sh), '
            f'not {launcher}.')
    torch.distributed.init_process_group(
        backend='gloo',
        **(dict(timeout=timedelta(seconds=timeout)) if timeout else {}))


def prepare_launch(cfg: Config) -> None:
    """Prepare a launch, with or without GPUs.

    MMEngine's launchers need a CUDA device. Without one this initializes the
    process group before the Runner is built, and configures DDP without
    ``device_ids``. With one it sets Slurm's rendezvous and merges
    ``find_unused_parameters`` into ``model_wrapper_cfg``, if there is one.

    Args:
        cfg: Config whose ``launcher`` is set; gets ``model_wrapper_cfg``.

    Raises:
        RuntimeError: The launcher cannot be used on this machine, or PyTorch
            cannot use its GPU.
    """
    require_usable_gpu()
    if cfg.launcher == 'slurm':
        set_slurm_rendezvous()
    if cfg.launcher == 'none':
        return
    # MMEngine reads it only where there is no model_wrapper_cfg.
    if cfg.get('model_wrapper_cfg') and 'find_unused_parameters' in cfg:
        cfg.model_wrapper_cfg.setdefault('find_unused_parameters',
                                         cfg.find_unused_parameters)
    if torch.cuda.is_available():
        return
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    start_gloo(cfg.launcher, dist_cfg.get('timeout'))
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None
    }
