"""End a training after a few iterations and a short validation."""

from itertools import islice
from typing import Any

from mmengine.hooks import Hook
from torch.utils.data import DataLoader

from ibot_mm.registry import HOOKS


class FirstBatches:
    """The first batches of a data loader.

    Args:
        loader: The data loader; its attributes are those of this object.
        count: Number of batches.
    """

    def __init__(self, loader: DataLoader, count: int) -> None:
        self.loader = loader
        self.count = count

    def __iter__(self):
        return islice(self.loader, self.count)

    def __len__(self) -> int:
        return min(self.count, len(self.loader))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


@HOOKS.register_module()
class TrialHook(Hook):
    """End a training after a few iterations and a short validation.

    Schedules, batches and data are those of the whole run, so that memory,
    speed and first losses are, too.

    Args:
        iterations: Number of training iterations.
        val_batches: Number of batches of each data loader of the validation.
    """

    # After the other hooks have logged the iteration.
    priority = 'LOWEST'

    def __init__(self, iterations: int = 20, val_batches: int = 20) -> None:
        self.iterations = iterations
        self.val_batches = val_batches

    def before_train(self, runner) -> None:
        """Shorten the validation."""
        for name, loader in list(vars(runner.val_loop or self).items()):
            if isinstance(loader, DataLoader):
                setattr(runner.val_loop, name,
                        FirstBatches(loader, self.val_batches))

    def after_train_iter(self, runner, *args, **kwargs) -> None:
        """Validate and end the run after the last iteration.

        Raises:
            SystemExit: With code 0.
        """
        if runner.iter + 1 < self.iterations:
            return
        if runner.val_loop is not None:
            runner.val_loop.run()
        runner.logger.info(
            f'The trial ends after iteration {runner.iter + 1}. Nothing was '
            'saved, and its metrics are no results.')
        runner.visualizer.close()
        raise SystemExit(0)
