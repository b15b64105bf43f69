"""The restricted unpickler for PyTorch before 2.6, to be deleted with it.

Its ``weights_only=True`` takes no further classes and runs TorchScript.
"""

import pickle
from argparse import Namespace
from collections import Counter, OrderedDict
from types import SimpleNamespace
from typing import Any

import torch

from .placeholders import ALLOWED, Dtype, Placeholder

_TABLE = {
    **ALLOWED,
    'builtins.set': set,
    'collections.Counter': Counter,
    'collections.OrderedDict': OrderedDict,
    'torch.Size': torch.Size,
    'torch.UntypedStorage': torch.UntypedStorage,
    'torch.device': torch.device,
    'torch._utils._rebuild_parameter': torch._utils._rebuild_parameter,
    'torch._utils._rebuild_tensor_v2': torch._utils._rebuild_tensor_v2,
    '_codecs.encode': lambda text, encoding: text.encode('latin1'),
    **{str(t): t for t in vars(torch).values() if isinstance(t, torch.dtype)},
}


class Unpickler(pickle._Unpickler):
    """Python's, since that in C sets attributes of classes and functions."""

    dispatch = dict(pickle._Unpickler.dispatch)

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table; nothing is imported."""
        module = 'builtins' if module == '__builtin__' else module
        if f'{module}.{name}' not in _TABLE:
            raise pickle.UnpicklingError(f'GLOBAL {module}.{name}')
        return _TABLE[f'{module}.{name}']

    def load_build(self) -> None:
        """Give an object its state, if it is one that may have one."""
        if type(self.stack[-2]) not in (OrderedDict, Namespace, Dtype,
                                        Placeholder):
            raise pickle.UnpicklingError(
                f'it would change {self.stack[-2]!r}')
        super().load_build()

    dispatch[pickle.BUILD[0]] = load_build


def restricted_load(path: str, map_location: Any, mmap: bool) -> Any:
    """As ``torch.load(path, map_location, weights_only=True, mmap=mmap)``.

    Raises:
        UnpicklingError: The file names anything that is not in the table.
    """
    try:
        records = torch._C.PyTorchFileReader(path).get_all_records()
    except RuntimeError:  # no archive
        records = []
    if 'constants.pkl' in records:
        raise pickle.UnpicklingError('it is a TorchScript program')
    module = SimpleNamespace(
        Unpickler=Unpickler,
        load=lambda file, **kwargs: Unpickler(file, **kwargs).load(),
        __name__=__name__)
    return torch.load(path, map_location, pickle_module=module,
                      weights_only=False, mmap=mmap)
