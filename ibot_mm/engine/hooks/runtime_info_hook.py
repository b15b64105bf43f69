"""Log values without a device synchronization at every iteration."""

import resource
import time

import torch
from mmengine.dist import get_world_size
from mmengine.hooks import RuntimeInfoHook
from torch import Tensor

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class PretrainRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, with one device synchronization per log interval.

    MMEngine's hook reads each output at once, so that the GPU idles at every
    iteration. This one also logs the gradient norm, the weight decay, the
    images per second of all ranks and, without a GPU, the peak memory of the
    process in MiB (on GPUs MMEngine logs it).

    Args:
        interval: Iterations between synchronizations; that of ``LoggerHook``.
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self._waiting: list[tuple[list[str], Tensor]] = []
        self._images = 0
        self._since: float | None = None

    def before_train_epoch(self, runner) -> None:
        """Restart the clock, to exclude validation."""
        super().before_train_epoch(runner)
        self._images, self._since = 0, time.perf_counter()

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: dict | None = None) -> None:
        """Collect outputs; fetch and log them at the interval."""
        outputs = dict(outputs or {})
        norm = getattr(runner.optim_wrapper, 'grad_norm', None)
        if norm is not None:
            outputs['grad_norm'] = norm
        values = [torch.as_tensor(value) for value in outputs.values()]
        self._waiting.append(
            (list(outputs),
             torch.stack([v.detach().float().reshape(()) for v in values])))
        if data_batch is not None:
            self._images += len(data_batch['img_paths'])
        if (self.every_n_train_iters(runner, self.interval)
                or self.every_n_inner_iters(batch_idx, self.interval)
                or self.end_of_epoch(runner.train_dataloader, batch_idx)):
            self._fetch(runner)

    def _fetch(self, runner) -> None:
        update = runner.message_hub.update_scalar
        values = iter(torch.cat([row for _, row in self._waiting]).tolist())
        for names, _ in self._waiting:
            for name in names:
                update(f'train/{name}', next(values))
        self._waiting = []
        update('train/weight_decay',
               runner.optim_wrapper.param_groups[0]['weight_decay'])
        now = time.perf_counter()
        if self._since is not None and self._images:
            update('train/images_per_second',
                   self._images * get_world_size() / (now - self._since))
        self._images, self._since = 0, now
        if not torch.cuda.is_available():
            # In KiB on Linux.
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            update('train/memory', peak // 1024)
