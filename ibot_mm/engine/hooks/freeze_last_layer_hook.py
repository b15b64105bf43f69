"""Keep the prototypes fixed at the start of the training."""

from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class FreezeLastLayerHook(Hook):
    """Drop the gradients of the last layer during the first epochs.

    Args:
        epochs: Number of epochs.
    """

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Tell the optimizer wrapper."""
        runner.optim_wrapper.freeze_last_layer = runner.epoch < self.epochs
