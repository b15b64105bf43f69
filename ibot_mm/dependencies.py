"""Check that the packages the plugin needs are installed and recent enough.

The OneDL forks and the OpenMMLab releases share their import names, so each
requirement lists the distributions that may provide it.
"""

from importlib import metadata
from typing import NamedTuple


class Requirement(NamedTuple):
    """A package that must be installed.

    Attributes:
        module: Import name, used in messages.
        minimum: Lowest supported version of each distribution that provides
            the module, as (distribution, version) pairs.
    """

    module: str
    minimum: tuple[tuple[str, str], ...]


REQUIREMENTS = (
    Requirement('torch', (('torch', '2.1.0'), )),
    Requirement('torchvision', (('torchvision', '0.16.0'), )),
    Requirement('mmengine', (('onedl-mmengine', '0.10.8'),
                             ('mmengine', '0.10.3'),
                             ('mmengine-lite', '0.10.3'))),
    Requirement('mmcv', (('onedl-mmcv', '2.3.0'), ('mmcv', '2.0.1'),
                         ('mmcv-lite', '2.0.1'))),
    Requirement('mmpretrain', (('onedl-mmpretrain', '1.3.0'),
                               ('mmpretrain', '1.2.0'))),
)

_ADVICE = ('install the tested versions with "pip install -r '
           'requirements/mminstall.txt" (OneDL forks) or "pip install -r '
           'requirements/mminstall_openmmlab.txt" (OpenMMLab releases)')


def _release(version: str) -> tuple[int, ...]:
    """Leading numeric part of a version: '2.11.0+cu130' -> (2, 11, 0)."""
    numbers = []
    for part in version.split('+')[0].split('.'):
        digits = ''.join(c for c in part if c.isdigit())
        if not digits or not part[0].isdigit():
            break
        numbers.append(int(digits))
    return tuple(numbers)


def _installed(distribution: str):
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def check_dependencies(requirements: tuple[Requirement, ...] = REQUIREMENTS
                       ) -> None:
    """Raise if a required package is missing or too old.

    Args:
        requirements: What to check.

    Raises:
        ImportError: Names the package, the version found and what to install.
    """
    for requirement in requirements:
        found = [(name, version, minimum)
                 for name, minimum in requirement.minimum
                 for version in [_installed(name)] if version is not None]
        names = ' or '.join(f'{name}>={minimum}'
                            for name, minimum in requirement.minimum)
        if not found:
            raise ImportError(
                f'ibot_mm needs the package "{requirement.module}" ({names}), '
                f'which is not installed: {_ADVICE}.')
        for name, version, minimum in found:
            if _release(version) < _release(minimum):
                raise ImportError(
                    f'ibot_mm needs {name}>={minimum}, but {version} is '
                    f'installed: {_ADVICE}.')
