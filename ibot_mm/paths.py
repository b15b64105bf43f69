"""Find config files of this package and of the host packages."""

import importlib.util
import os
from pathlib import Path


def _config_roots(package: str) -> list[Path]:
    """Folders that may hold the configs of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'config_path: the package "{package}" is not installed.')
    roots = []
    for location in map(Path, spec.submodule_search_locations):
        # A regular install holds them in `.mim`; an editable one has them
        # beside the package.
        roots += [location / '.mim' / 'configs', location.parent / 'configs']
    return roots


def config_path(name: str) -> str:
    """Path of a config file inside an installed package.

    It works where mmengine's ``'package::file'`` does not, for use in
    ``_base_``: ``_base_ = [__import__('ibot_mm').config_path(
    'mmseg::_base_/models/upernet_beit.py')]``.

    Args:
        name: ``'package::path/below/configs.py'``; without a package, this
            one is meant.

    Returns:
        Absolute path of the file.

    Raises:
        ModuleNotFoundError: The package is not installed.
        FileNotFoundError: The package has no such config.
    """
    package, _, relative = name.rpartition('::')
    package = package or 'ibot_mm'
    roots = _config_roots(package)
    for root in roots:
        if (root / relative).is_file():
            return os.fspath(root / relative)
    raise FileNotFoundError(
        f'config_path: "{package}" has no config "{relative}"; looked in '
        + ', '.join(map(str, roots)) + '.')
