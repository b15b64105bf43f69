"""A live line about the run on a terminal."""

import sys
from contextlib import ExitStack

from mmengine.dist import get_world_size, is_main_process
from mmengine.hooks import Hook
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class ProgressBarHook(Hook):
    """Show progress, images per second and the time left on a terminal.

    The log keeps its lines, which a terminal shows above this one. Without a
    terminal (batch jobs, pipes) there is no line.

    Args:
        enabled: Whether to show it. (MMEngine accepts None only for its own
            default hooks.)
    """

    # After the logger has printed.
    priority = 'LOWEST'

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled

    def before_train(self, runner) -> None:
        """Start the line."""
        self._bar: tqdm | None = None
        if not (self.enabled and is_main_process()
                and sys.stderr.isatty()):
            return
        self._images = runner.train_dataloader.batch_size * get_world_size()
        self._stack = ExitStack()
        self._stack.enter_context(logging_redirect_tqdm([runner.logger]))
        self._bar = self._stack.enter_context(tqdm(
            total=runner.max_iters * self._images,
            initial=runner.iter * self._images, unit=' images',
            unit_scale=True, dynamic_ncols=True, leave=False,
            desc=f'epoch {runner.epoch + 1}/{runner.max_epochs}'))

    def before_train_epoch(self, runner) -> None:
        """Name the epoch."""
        if self._bar is not None:
            self._bar.set_description(
                f'epoch {runner.epoch + 1}/{runner.max_epochs}', False)

    def after_train_iter(self, runner, batch_idx: int, data_batch=None,
                         outputs: dict | None = None) -> None:
        """Count the images of the iteration."""
        if self._bar is not None:
            self._bar.update(self._images)

    def after_train(self, runner) -> None:
        """Remove the line."""
        if self._bar is not None:
            self._stack.close()
