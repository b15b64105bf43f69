"""Find config files of installed packages."""

import importlib.util
from pathlib import Path


def _config_roots(package: str) -> list[Path]:
    """Folders that may hold the configs of an installed package."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(
            f'config_path: the package "{package}" is not installed.')
    roots = []
    for location in map(Path, spec.submodule_search_locations):
        # A regular install has them in `.mim`, an editable one next to the
        # package.
        roots += [location / '.mim' / 'configs', location.parent / 'configs']
    return roots


def config_path(name: str) -> str:
    """Path of a config file inside an installed package.

    For ``_base_``, where MMEngine's ``'package::file'`` does not find every
    installed package: ``_base_ = __import__('ibot_mm').config_path(
    'mmseg::_base_/models/upernet_beit.py')``. MMEngine evaluates ``_base_``
    before the rest of the file, so the import has to be part of it.

    Args:
        name: ``'package::path/below/configs.py'``; the package defaults to
            ``ibot_mm``.

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
            return str(root / relative)
    raise FileNotFoundError(
        f'config_path: "{package}" has no config "{relative}"; looked in '
        + ', '.join(map(str, roots)) + '.')
