"""Load checkpoints that are exactly what the model needs."""

from collections.abc import Sequence
from typing import Any

from mmengine.hooks import Hook

from ibot_mm.checkpoints.for_mmengine import use_restricted_loader
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.load_log import log_loaded
from ibot_mm.checkpoints.pretrained import network_taken, weights_of
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.distributed.dtensor import is_sharded
from ibot_mm.distributed.unwrap import unwrapped_model
from ibot_mm.registry import HOOKS


@HOOKS.register_module()
class StrictLoadHook(Hook):
    """Make missing, unexpected and misshapen weights errors.

    MMEngine loads ``load_from`` and resumed checkpoints with warnings only. A
    model with a method ``adapt_checkpoint`` may select weights of the file.
    Files are read by :func:`~ibot_mm.checkpoints.load.load_checkpoint`. A
    line of the log says how many entries the model has loaded.

    Args:
        skip_prefixes: Prefixes of weights that are not taken from
            ``load_from``, such as heads for other classes. Resuming takes
            all.
    """

    def __init__(self, skip_prefixes: Sequence[str] = ()) -> None:
        self.skip_prefixes = tuple(skip_prefixes)
        use_restricted_loader()

    def after_load_checkpoint(self, runner,
                              checkpoint: dict[str, Any]) -> None:
        """Load the weights, before MMEngine does.

        Raises:
            CheckpointError: They do not fit, and why.
        """
        model = unwrapped_model(runner)
        source = str(getattr(runner, '_load_from', None) or 'the checkpoint')
        if {'student', 'teacher'} & set(checkpoint) and not hasattr(
                model, 'adapt_checkpoint'):
            raise CheckpointError(
                f'"{source}" is a checkpoint of the official code: convert '
                'it with tools/model_converters/ibot_to_mm.py.')
        try:
            state = getattr(model, 'adapt_checkpoint', weights_of)(checkpoint)
        except CheckpointError as error:
            raise CheckpointError(f'"{source}": {error}') from error
        network = network_taken(checkpoint, getattr(model, 'network', ''))
        given = dict(state)
        if self.skip_prefixes and not runner._resume:
            given = {k: v for k, v in state.items()
                     if not k.startswith(self.skip_prefixes)}
            state = {**given,
                     **{k: v for k, v in model.state_dict().items()
                        if k.startswith(self.skip_prefixes)}}
        if any(map(is_sharded, model.parameters())):
            checkpoint['state_dict'] = state  # ShardedStrategy is strict
        else:
            load_strict(model, state, source)
            # MMEngine loads it again, without resizing anything.
            checkpoint['state_dict'] = model.state_dict()
        log_loaded(model, given, f'the {network} in "{source}"'
                   if network else f'"{source}"')
