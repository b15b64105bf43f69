"""Freezing of the backbone at the start of training."""

from mmengine.hooks import Hook

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class FreezeBackboneHook(Hook):
    """Drop the gradients of the student's backbone during the first epochs.

    For a pre-training that continues from an existing backbone: new, random
    heads learn first, so that their gradients do not spoil it. The
    parameters keep requiring gradients, because DDP and the optimizer expect
    the same ones in all epochs; so the first epochs save no time.

    Args:
        epochs: Number of epochs without updates of the backbone.
    """

    def __init__(self, epochs: int = 1) -> None:
        self.epochs = epochs

    def before_train_epoch(self, runner) -> None:
        """Set ``frozen`` of the optimizer wrapper; also after resuming."""
        model = unwrapped_model(runner)
        runner.optim_wrapper.frozen = (
            list(model.backbone.parameters())
            if runner.epoch < self.epochs else [])
