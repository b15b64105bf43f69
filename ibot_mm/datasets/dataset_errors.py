"""What data sets with labels say when something is wrong with the data."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any


def require(path: str, kind: str, setting: str, data_root: str = '') -> None:
    """Refuse a path that is not there.

    Args:
        path: The file or folder.
        kind: 'file' or 'folder'.
        setting: Setting of the data set that led to the path.
        data_root: Folder of the data; it is blamed where it is the one that
            is missing.

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
    """The first names, and how many more there are."""
    text = ', '.join(f'"{name}"' for name in names[:limit])
    more = len(names) - limit
    return f'{text} and {more} more' if more > 0 else text


def is_local(path: str, backend_args: dict | None) -> bool:
    """Whether a host's data set reads a path from this machine's files."""
    return not backend_args and '://' not in path


def require_prefix(dataset: Any, key: str) -> None:
    """Refuse a data set of a host without one of its folders.

    Args:
        dataset: Data set with ``data_prefix``, ``data_root`` and
            ``backend_args``.
        key: Key of ``data_prefix``.

    Raises:
        ValueError: ``data_prefix`` has no such key.
        FileNotFoundError: There is no such folder.
    """
    folder = dataset.data_prefix.get(key)
    if folder is None:
        raise ValueError(
            f'data_prefix of the data set has no "{key}", only '
            f'{quoted(list(dataset.data_prefix)) or "nothing"}; set '
            f'data_prefix.{key}.')
    if is_local(folder, dataset.backend_args):
        require(folder, 'folder', f'data_prefix.{key}',
                dataset.data_root or '')


def _missing(paths: Sequence[str]) -> Iterator[str]:
    """Paths of files that are not there; lists each folder once."""
    names: dict[str, set[str]] = {}
    for path in paths:
        folder, name = os.path.split(path)
        folder = folder or '.'
        if folder not in names:
            there = os.path.isdir(folder)
            names[folder] = set(os.listdir(folder)) if there else set()
        known = names[folder]
        # Where 'A' and 'a' are one file the listing does not decide.
        if name not in known and not (known and os.path.isfile(path)):
            yield path


def require_files(paths: Sequence[str], what: str, settings: str) -> None:
    """Refuse files that are not there.

    Args:
        paths: The files, in any folders.
        what: What they are, for the message.
        settings: Settings of the data set that led to them.

    Raises:
        FileNotFoundError: Some are missing.
    """
    missing = list(_missing(paths))
    if missing:
        raise FileNotFoundError(
            f'{len(missing)} of the {len(paths)} {what} are missing, the '
            f'first: {quoted(missing, 3)}; change {settings} of the data '
            'set.')


def require_names(classes: Sequence[str]) -> None:
    """Refuse a text in the place of class names.

    Raises:
        ValueError: It is one; its letters would be taken for classes.
    """
    if isinstance(classes, str):
        raise ValueError(
            f'metainfo.classes of the data set is the text "{classes}"; '
            f"write a sequence of names, for one class ('{classes}', ).")
