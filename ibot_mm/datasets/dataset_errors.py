"""Error messages shared by the data sets with labels."""

from collections.abc import Sequence
from pathlib import Path


def require(path: str, kind: str, setting: str, data_root: str = '') -> None:
    """Raise if a file or folder does not exist.

    Args:
        path: The file or folder.
        kind: 'file' or 'folder'.
        setting: Setting of the data set that led to the path.
        data_root: Folder of the data; named in the error if it is the part
            of the path that does not exist.

    Raises:
        FileNotFoundError: There is no such file or folder.
    """
    wanted, root = Path(path), Path(data_root)
    if wanted.is_file() if kind == 'file' else wanted.is_dir():
        return
    below = root == wanted or root in wanted.parents
    if data_root and below and not root.is_dir():
        path, kind, setting = data_root, 'folder', 'data_root'
    raise FileNotFoundError(
        f'There is no {kind} "{path}"; change {setting} of the data set.')


def quoted(names: Sequence[str], limit: int = 5) -> str:
    """Quote the first names and count the rest."""
    text = ', '.join(f'"{name}"' for name in names[:limit])
    more = len(names) - limit
    return f'{text} and {more} more' if more > 0 else text
