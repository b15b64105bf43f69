"""The line of the log that says which weights a model has loaded."""

from collections.abc import Collection

from mmengine.logging import print_log
from torch import Tensor, nn

from .official.state_dict import State


def _listed(things: Collection[str]) -> str:
    """The first three, and how many more there are."""
    first = ', '.join(sorted(things)[:3])
    more = len(things) - 3
    return f'{first} and {more} more' if more > 0 else first


def _size(tensor: Tensor) -> str:
    return 'x'.join(map(str, tensor.shape))


def log_loaded(module: nn.Module, given: State, source: str) -> None:
    """Log what a module has loaded, in one line of the current logger.

    Args:
        module: It has the weights by now.
        given: Weights as they are in the file, under the module's names.
        source: What they are, such as 'the teacher of "epoch_800.pth"'.
    """
    own = module.state_dict()
    taken = given.keys() & own.keys()
    # Integers count batches or are constants of windows.
    weights = {k: v for k, v in own.items() if v.is_floating_point()}
    notes = {
        'resized': [
            f'{name} {_size(given[name])} -> {_size(weights[name])}'
            for name in taken & weights.keys()
            if given[name].shape != weights[name].shape
        ],
        'not loaded': weights.keys() - given.keys(),
        'not used': given.keys() - own.keys(),
    }
    print_log(
        '; '.join([
            f'{type(module).__name__}: {len(taken)} entries of {source}',
            *(f'{note}: {_listed(names)}'
              for note, names in notes.items() if names)
        ]),
        logger='current')
