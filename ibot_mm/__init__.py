"""iBOT pre-training (arXiv 2111.07832) as a plugin for MMPretrain."""

from importlib import import_module

from .dependencies import check_dependencies
from .version import __version__

check_dependencies()

from .model_hub import register_on_import  # noqa: E402
from .paths import config_path  # noqa: E402

register_on_import()

__all__ = ['__version__', 'config_path']


def __getattr__(name: str):
    """Import classes and functions when they are first used."""
    if not name.startswith('_'):
        for package in ('models', 'datasets', 'engine', 'evaluation', 'apis'):
            module = import_module(f'.{package}', __name__)
            if name in module.__all__:
                return getattr(module, name)
    raise AttributeError(f'module {__name__!r} has no attribute {name!r}')
