"""Predict with several views of an image, in any number of processes."""

from mmengine.hooks import Hook
from mmengine.registry import MODELS

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class TestTimeAugHook(Hook):
    """Put the host's model for test-time augmentation around the model.

    MMEngine's ``PrepareTTAHook`` puts it around the wrapper of a distributed
    run, where MMSegmentation's fails. After the test the model is what it was.

    Args:
        tta_cfg: Config of the host's model, e.g. ``dict(type='SegTTAModel')``.
    """

    __test__ = False  # no test case, for pytest

    def __init__(self, tta_cfg: dict) -> None:
        self.tta_cfg = tta_cfg

    def before_test(self, runner) -> None:
        """Wrap the model."""
        self._model = runner.model
        runner.model = MODELS.build(
            dict(self.tta_cfg, module=unwrapped_model(runner)))

    def after_test(self, runner) -> None:
        """Give the model back."""
        runner.model = self._model
