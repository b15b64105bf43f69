from .official_names import from_official
from .precision import at_least_float32

__all__ = ['at_least_float32', 'from_official']
