from .official_names import from_official, to_official
from .precision import at_least_float32, autocast_dtype

__all__ = [
    'at_least_float32', 'autocast_dtype', 'from_official', 'to_official'
]
