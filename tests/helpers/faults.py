"""Fault injection for training runs in tests; imported by their configs."""

import multiprocessing
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS, TRANSFORMS


@TRANSFORMS.register_module()
class PoisonCrops(BaseTransform):
    """Replace the crops of some files with NaN, like a broken transform.

    Args:
        names: File names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names

    def transform(self, results: dict) -> dict:
        if Path(results['img_path']).name in self.names:
            results['local_crops'] = [
                np.full(crop.shape, np.nan, np.float32)
                for crop in results['local_crops']
            ]
        return results


@HOOKS.register_module()
class FaultHook(Hook):
    """Inject a fault after an iteration.

    Args:
        fault: 'error' raises, 'killed' kills the process, 'worker' kills a
            DataLoader worker.
        iteration: Number of the iteration, from 1.
        rank: Rank that fails.
    """

    def __init__(self, fault: str, iteration: int, rank: int = 0) -> None:
        self.fault = fault
        self.iteration = iteration
        self.rank = rank

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        if (runner.iter + 1, runner.rank) != (self.iteration, self.rank):
            return
        if self.fault == 'error':
            raise ArithmeticError('this rank has failed')
        if self.fault == 'killed':
            os.kill(os.getpid(), signal.SIGKILL)
        worker, *_ = multiprocessing.active_children()
        os.kill(worker.pid, signal.SIGKILL)
        time.sleep(1)  # PyTorch's signal handler interrupts this
