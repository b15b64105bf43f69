"""Write the teacher's backbone beside checkpoints."""

import re
from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook

from ibot_mm.checkpoints.backbone_file import write_backbone
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.pretrained import select_network
from ibot_mm.checkpoints.resume import saved_last
from ibot_mm.registry import HOOKS

HASH = '-' + '[0-9a-f]' * 8


def _kind(name: str) -> str:
    """Name of a checkpoint without its number, e.g. 'epoch_'."""
    return re.sub(r'\d+$', '', name)


@HOOKS.register_module()
class BackboneFileHook(Hook):
    """Write the backbone that others load, where a run saves its results.

    At the end of a training, and whenever ``save_best`` has saved a
    checkpoint, the teacher's backbone of that checkpoint is written beside it
    as ``<checkpoint>_backbone-<hash>.pth``, as ``extract_backbone.py`` does.
    Of the last and of each best checkpoint the newest file is kept. One that
    cannot be written is an error in the log, and the training goes on.

    Args:
        enabled: Whether to write any. (MMEngine accepts None only for its own
            default hooks.)
    """

    # After the CheckpointHook.
    priority = 'LOWEST'

    def __init__(self, enabled: bool = True) -> None:
        self.enabled = enabled
        self._written: set[Path] = set()

    @master_only
    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Write those of new best checkpoints."""
        for key, value in list(runner.message_hub.runtime_info.items()):
            if key.startswith('best_ckpt') and value and (
                    Path(value) not in self._written):
                self._write(runner, Path(value))

    @master_only
    def after_train(self, runner) -> None:
        """Write that of the last checkpoint."""
        last = saved_last(runner.work_dir)
        if last is not None:
            self._write(runner, last)

    def _write(self, runner, checkpoint: Path) -> None:
        # It may be on another file system.
        if not self.enabled or not checkpoint.is_file():
            return
        try:
            # Read, because the weights may have changed since.
            content = load_checkpoint(str(checkpoint), mmap=True,
                                      checksums=False)
            path = write_backbone(
                {k: v for k, v in select_network(content).items()
                 if k.startswith('backbone.')},
                checkpoint.with_name(f'{checkpoint.stem}_backbone.pth'),
                content)
            for other in checkpoint.parent.glob(f'*_backbone{HASH}.pth'):
                name = other.name.rpartition('_backbone-')[0]
                if other != path and _kind(name) == _kind(checkpoint.stem):
                    other.unlink()
        except (OSError, CheckpointError) as error:
            runner.logger.error(f'The backbone of "{checkpoint}" could not be '
                                f'written: {error}')
            return
        self._written.add(checkpoint)
        runner.logger.info(f"The teacher's backbone, to fine-tune and to "
                           f'share: "{path}" (docs/checkpoints.md)')
