"""iBOT pre-training (arXiv 2111.07832) as a plugin for MMPretrain."""

from .dependencies import check_dependencies
from .version import __version__

check_dependencies()

from .paths import config_path  # noqa: E402

__all__ = ['__version__', 'config_path']
