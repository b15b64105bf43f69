"""Test-time augmentation in single-process and distributed runs."""

from mmengine.hooks import Hook
from mmengine.registry import MODELS

from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class TestTimeAugHook(Hook):
    """Wrap the model in a test-time augmentation model during the test.

    MMEngine's ``PrepareTTAHook`` wraps the distributed wrapper of the model,
    with which MMSegmentation's TTA model fails.

    Args:
        tta_cfg: Config of the TTA model, e.g. ``dict(type='SegTTAModel')``.
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
        """Restore the model."""
        runner.model = self._model
