"""FlexibleRunner that saves the epoch and iteration it is given."""

from typing import Any

from mmengine.runner import FlexibleRunner

from ibot_mm.registry import RUNNERS


@RUNNERS.register_module()
class ShardedRunner(FlexibleRunner):
    """FlexibleRunner whose checkpoints keep the caller's epoch and iteration.

    FlexibleRunner overwrites them with those of the end of the current epoch
    or iteration; ``Runner`` does not. Arguments are those of MMEngine.
    """

    # Epoch and iteration of the checkpoint that is being saved.
    _progress: dict[str, int] = {}

    def save_checkpoint(self,
                        out_dir: str,
                        filename: str,
                        *args: Any,
                        meta: dict | None = None,
                        **kwargs: Any) -> None:
        """Save a checkpoint; a collective call."""
        self._progress = {
            key: value
            for key, value in (meta or {}).items() if key in ('epoch', 'iter')
        }
        super().save_checkpoint(
            out_dir, filename, *args, meta=dict(meta or {}), **kwargs)

    def call_hook(self, fn_name: str, **kwargs: Any) -> None:
        """Call all hooks."""
        if fn_name == 'before_save_checkpoint':
            kwargs['checkpoint']['meta'].update(self._progress)
        super().call_hook(fn_name, **kwargs)
