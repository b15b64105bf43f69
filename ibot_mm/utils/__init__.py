from .official_names import from_official

__all__ = ['from_official']
