"""Distributed start for machines without a GPU."""

from datetime import timedelta

import torch
from mmengine.config import Config


def prepare_launch(cfg: Config) -> None:
    """Let a run that ``torchrun`` started work on CPUs.

    MMEngine's launchers select a CUDA device for each process. Without one
    the process group has to exist before the Runner is built, and DDP must
    not be given a device. Does nothing where there is a GPU, or no launcher.

    Args:
        cfg: Config whose ``launcher`` is set; gets ``model_wrapper_cfg``.

    Raises:
        RuntimeError: The launcher is not ``pytorch``.
    """
    if cfg.launcher == 'none' or torch.cuda.is_available():
        return
    if cfg.launcher != 'pytorch':
        raise RuntimeError(
            f'there is no GPU here: several CPU processes need --launcher '
            f'pytorch (tools/dist_train.sh), got --launcher {cfg.launcher}.')
    dist_cfg = (cfg.get('env_cfg') or {}).get('dist_cfg') or {}
    timeout = dist_cfg.get('timeout')
    torch.distributed.init_process_group(
        backend='gloo',
        **(dict(timeout=timedelta(seconds=timeout)) if timeout else {}))
    cfg.model_wrapper_cfg = {
        'type': 'MMDistributedDataParallel',
        'broadcast_buffers': False,
        'find_unused_parameters': cfg.get('find_unused_parameters', False),
        **(cfg.get('model_wrapper_cfg') or {}), 'device_ids': None
    }
