"""Distributed start: what MMEngine's launchers leave to be done."""

import os
import subprocess
from datetime import timedelta

import torch
from mmengine.config import Config


def first_host() -> str:
    """Name of the first host of this job step, as MMEngine finds it.

    Raises:
        RuntimeError: Slurm's ``scontrol`` does not tell.
    """
    hosts = os.environ.get('SLURM_STEP_NODELIST',
                           os.environ.get('SLURM_NODELIST', ''))
    try:
        found = subprocess.run(['scontrol', 'show', 'hostnames', hosts],
                               check=True,
                               capture_output=True,
                               text=True).stdout.split()
        return found[0]
    except (OSError, subprocess.CalledProcessError, IndexError) as error:
        raise RuntimeError(
            f'scontrol does not tell the first host of "{hosts}": set '
            f'MASTER_ADDR to its address ({error}).') from error


def set_slurm_rendezvous() -> None:
    """Say in ``torchrun``'s variables what ``srun`` says in its own.

    An address or a port that is set already stays. The port follows from the
    numbers of job and step: MMEngine's own, 29500 for all, would let jobs
    that share a node meet.

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
    env['RANK'] = env['SLURM_PROCID']
    env['LOCAL_RANK'] = env['SLURM_LOCALID']
    env['WORLD_SIZE'] = env['SLURM_NTASKS']
    if 'MASTER_ADDR' not in env:
        env['MASTER_ADDR'] = first_host()
    job, step = int(env['SLURM_JOB_ID']), int(env.get('SLURM_STEP_ID', 0))
    env.setdefault('MASTER_PORT', str(10000 + (10 * job + step) % 20000))


def start_gloo(launcher: str, timeout: float | None = None) -> None:
    """Start the process group of CPU processes.

    Args:
        launcher: How the processes were started.
        timeout: Seconds until a process gives the others up.

    Raises:
        RuntimeError: CPU processes cannot be started so.
    """
    if launcher not in ('pytorch', 'slurm'):
        raise RuntimeError(
            'there is no GPU here: several CPU processes need --launcher '
            'pytorch (tools/dist_train.sh) or slurm (tools/slurm_train.sh), '
            f'got --launcher {launcher}.')
    torch.distributed.init_process_group(
        backend='gloo',
        **(dict(timeout=timedelta(seconds=timeout)) if timeout else {}))


def prepare_launch(cfg: Config) -> None:
    """Let processes of ``torchrun`` and ``srun`` find each other.

    MMEngine's launchers select a CUDA device for each process. Without one
    the process group has to exist before the Runner is built, and DDP must
    not be given a device. With one only Slurm's rendezvous is set.

    Args:
        cfg: Config whose ``launcher`` is set; gets ``model_wrapper_cfg``.

    Raises:
        RuntimeError: The launcher cannot be used here.
    """
    if cfg.launcher == 'slurm':
        set_slurm_rendezvous()
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    start_gloo(cfg.launcher, dist_cfg.get('timeout'))
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None
    }
