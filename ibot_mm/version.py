"""Version of the package; ``setup.py`` executes this file alone."""

__version__ = '0.1.0'
