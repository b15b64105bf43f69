"""MMEngine's runner for strategies, with checkpoints of the right place."""

from typing import Any

from mmengine.runner import FlexibleRunner

from ibot_mm.registry import RUNNERS


@RUNNERS.register_module()
class ShardedRunner(FlexibleRunner):
    """FlexibleRunner that saves the epoch and iteration it is told to.

    FlexibleRunner puts those of the end of an epoch, or of an iteration, in
    their place, as if checkpoints were saved nowhere else; ``Runner`` does
    not. Arguments are those of MMEngine.
    """

    # What the checkpoint that is being saved has for epoch and iteration.
    _place: dict[str, int] = {}

    def save_checkpoint(self,
                        out_dir: str,
                        filename: str,
                        *args: Any,
                        meta: dict | None = None,
                        **kwargs: Any) -> None:
        """Save a checkpoint; every process has to take part."""
        self._place = {
            key: value
            for key, value in (meta or {}).items() if key in ('epoch', 'iter')
        }
        super().save_checkpoint(
            out_dir, filename, *args, meta=dict(meta or {}), **kwargs)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call all hooks."""
        if fn_name == 'before_save_checkpoint':
            kwargs['checkpoint']['meta'].update(self._place)
        super().call_hook(fn_name, **kwargs)
