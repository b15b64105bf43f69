"""Freezing of the prototypes at the start of training."""

from mmengine.hooks import Hook

from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class FreezeLastLayerHook(Hook):
    """Drop the gradients of the last layer during the first epochs.

    Args:
        epochs: Number of epochs without updates of the last layer.
    """

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs

    def before_train_iter(self, runner, batch_idx: int,
                          data_batch=None) -> None:
        """Set ``freeze_last_layer`` of the optimizer wrapper."""
        runner.optim_wrapper.freeze_last_layer = runner.epoch < self.epochs
