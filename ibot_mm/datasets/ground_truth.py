"""Ground truth that data sets ship as a pickle, read without running code."""

import pickle
from typing import Any

import numpy as np

from .dataset_errors import quoted

_reconstruct = np.empty(0).__reduce__()[0]
_scalar = np.float64(0).__reduce__()[0]
_ALLOWED = {
    'numpy.ndarray': np.ndarray,
    'numpy.dtype': np.dtype,
    # Bytes, as Python 3 writes them for Python 2: if there are any, or none.
    '_codecs.encode': lambda text, encoding: text.encode('latin1'),
    '__builtin__.bytes': bytes,
    **{f'numpy.{core}.multiarray.{name}': function
       for core in ('core', '_core')
       for name, function in (('_reconstruct', _reconstruct),
                              ('scalar', _scalar))},
}


class _Unpickler(pickle.Unpickler):
    """Knows containers, plain values and NumPy arrays of them."""

    def find_class(self, module: str, name: str) -> Any:
        """Look a name up in the table; nothing is imported."""
        if f'{module}.{name}' not in _ALLOWED:
            raise pickle.UnpicklingError(
                f'it names "{module}.{name}", which may run code')
        return _ALLOWED[f'{module}.{name}']


def read_ground_truth(path: str, keys: tuple[str, ...]) -> dict[str, Any]:
    """Read a pickle of containers, plain values and NumPy arrays.

    Args:
        path: File, also one that Python 2 has written.
        keys: Entries that it must have.

    Returns:
        The dict in the file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no pickle, might run code, or lacks an entry.
    """
    with open(path, 'rb') as file:
        try:
            content = _Unpickler(file, encoding='latin1').load()
        except Exception as error:  # of pickle, a dozen kinds
            raise ValueError(
                f'"{path}" cannot be read as ground truth ({error}); download '
                'it again from its authors.') from error
    missing = [key for key in keys
               if not isinstance(content, dict) or key not in content]
    if missing:
        raise ValueError(f'"{path}" has no {quoted(missing)}; download the '
                         'ground truth again from its authors.')
    return content
