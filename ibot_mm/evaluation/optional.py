"""Packages that some protocols need."""

import importlib
from types import ModuleType


def optional(module: str, package: str, purpose: str) -> ModuleType:
    """Import a module of an optional package.

    Args:
        module: Name to import.
        package: Name to install.
        purpose: What needs it, for the message.

    Raises:
        ImportError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f'{purpose} needs {package}: pip install '
                          f'{package}.') from error
