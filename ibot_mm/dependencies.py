"""Required packages, whose versions are checked, and optional ones."""

from importlib import import_module, metadata
from types import ModuleType

from packaging.version import Version

# Lowest version of each distribution that provides a module: the OneDL forks
# and the OpenMMLab releases share their import names.
REQUIREMENTS: dict[str, dict[str, str]] = {
    'torch': {'torch': '2.1.0'},
    'torchvision': {'torchvision': '0.16.0'},
    'mmengine': {
        'onedl-mmengine': '0.10.8',
        'mmengine': '0.10.3',
        'mmengine-lite': '0.10.3'
    },
    'mmcv': {'onedl-mmcv': '2.3.0', 'mmcv': '2.0.1', 'mmcv-lite': '2.0.1'},
    'mmpretrain': {'onedl-mmpretrain': '1.3.0', 'mmpretrain': '1.2.0'},
}
ADVICE = ('install the tested versions with "pip install -r requirements/'
          'mminstall.txt" (OneDL forks) or "pip install -r requirements/'
          'mminstall_openmmlab.txt" (OpenMMLab releases)')


def installed_version(distribution: str) -> str | None:
    """Version of a distribution; None if it is not installed."""
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check_dependencies(
        requirements: dict[str, dict[str, str]] = REQUIREMENTS) -> None:
    """Raise if a required package is missing or too old.

    Args:
        requirements: Module -> distribution -> lowest supported version.

    Raises:
        ImportError: Names the package, the version found and what to install.
    """
    for module, minimums in requirements.items():
        found = {name: installed_version(name) for name in minimums}
        if not any(found.values()):
            names = ' or '.join(f'{n}>={v}' for n, v in minimums.items())
            raise ImportError(
                f'ibot_mm needs the package "{module}" ({names}), which is '
                f'not installed: {ADVICE}.')
        for name, version in found.items():
            # Of pre-releases such as 2.1.0a0+git the release counts.
            if version and (Version(version).release
                            < Version(minimums[name]).release):
                raise ImportError(
                    f'ibot_mm needs {name}>={minimums[name]}, but {version} '
                    f'is installed: {ADVICE}.')


def import_optional(name: str, use: str, group: str = 'export'
                    ) -> ModuleType:
    """Import a package of ``requirements/<group>.txt``.

    Args:
        name: The package.
        use: What needs it.
        group: File that names it.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return import_module(name)
    except ModuleNotFoundError as error:
        raise ImportError(
            f'{use} needs the package {name.split(".")[0]}: '
            f'pip install -r requirements/{group}.txt') from error
