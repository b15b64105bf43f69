"""Refuse checkpoints that are not exactly what the model needs."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook
from mmengine.runner import find_latest_checkpoint

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.pretrained import check_keys, fit_to_model, weights_of
from ibot_mm.checkpoints.refuse_code import refuse_code
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Make missing, unexpected and misshapen entries errors.

    MMEngine loads ``load_from`` and resumed checkpoints with warnings only. A
    model with a method ``adapt_checkpoint`` may take the file apart itself;
    for the others positions and window tables are resized. Before MMEngine
    reads a file it is looked at, and refused if it holds code.

    Args:
        skip_prefixes: Beginnings of names that are not taken from
            ``load_from``, such as heads for other classes. A resumed run
            takes all.
    """

    def __init__(self, skip_prefixes: Sequence[str] = ()) -> None:
        self.skip_prefixes = tuple(skip_prefixes)

    def before_run(self, runner) -> None:
        """Look at the checkpoint that MMEngine is about to read.

        Raises:
            CheckpointError: It is none, or reading it might run code.
        """
        path = runner._load_from
        if path is None and runner._resume:
            path = find_latest_checkpoint(runner.work_dir)
        if path is not None:
            refuse_code(str(path))

    def after_load_checkpoint(self, runner,
                              checkpoint: dict[str, Any]) -> None:
        """Check and replace the weights before they are loaded.

        Raises:
            CheckpointError: They do not fit, and how.
        """
        model = unwrapped_model(runner)
        source = str(getattr(runner, '_load_from', None) or 'the checkpoint')
        if hasattr(model, 'adapt_checkpoint'):
            try:
                state = model.adapt_checkpoint(checkpoint)
            except CheckpointError as error:
                raise CheckpointError(f'"{source}": {error}') from error
        elif {'student', 'teacher'} & set(checkpoint):
            raise CheckpointError(
                f'"{source}" is a checkpoint of the official code: convert '
                'it with tools/model_converters/ibot_to_mm.py.')
        else:
            state = fit_to_model(model, weights_of(checkpoint))
        if self.skip_prefixes and not runner._resume:
            state = {k: v for k, v in state.items()
                     if not k.startswith(self.skip_prefixes)}
            state.update((k, v) for k, v in model.state_dict().items()
                         if k.startswith(self.skip_prefixes))
        check_keys(model.state_dict(), state, source)
        checkpoint['state_dict'] = state
