"""Log values without waiting for the device at every iteration."""

from typing import List, Optional

import torch
from mmengine.hooks import RuntimeInfoHook
from torch import Tensor

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class PretrainRuntimeInfoHook(RuntimeInfoHook):
    """MMEngine's hook, which fetches the outputs of many iterations at once.

    The host's hook turns each output into a number as soon as it is there, so
    the device runs dry at every iteration. This one fetches them together
    when the log is about to be written. It adds the gradient norm, the
    temperatures and the weight decay to the log.

    Args:
        interval: Iterations between fetches; that of ``LoggerHook``.
    """

    def __init__(self, interval: int = 10) -> None:
        self.interval = interval
        self._names: List[str] = []
        self._waiting: List[Tensor] = []

    def after_train_iter(self,
                         runner,
                         batch_idx: int,
                         data_batch=None,
                         outputs: Optional[dict] = None) -> None:
        """Keep the outputs; fetch them at the interval."""
        outputs = dict(outputs or {})
        norm = getattr(runner.optim_wrapper, 'grad_norm', None)
        if norm is not None:
            outputs['grad_norm'] = norm
        values = [torch.as_tensor(value) for value in outputs.values()]
        if self._waiting and list(outputs) != self._names:
            self._fetch(runner)
        self._names = list(outputs)
        self._waiting.append(
            torch.stack([v.detach().float().reshape(()) for v in values]))
        runner.message_hub.update_scalar(
            'train/weight_decay',
            runner.optim_wrapper.param_groups[0]['weight_decay'])
        if (self.every_n_train_iters(runner, self.interval)
                or self.every_n_inner_iters(batch_idx, self.interval)
                or self.end_of_epoch(runner.train_dataloader, batch_idx)):
            self._fetch(runner)

    def _fetch(self, runner) -> None:
        for row in torch.stack(self._waiting).tolist():
            for name, value in zip(self._names, row):
                runner.message_hub.update_scalar(f'train/{name}', value)
        self._waiting = []
