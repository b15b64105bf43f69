from .background_accuracy import BackgroundAccuracy
from .corruption_error import CorruptionError
from .restricted_accuracy import RestrictedAccuracy
from .variant_accuracy import VariantAccuracy

__all__ = [
    'BackgroundAccuracy', 'CorruptionError', 'RestrictedAccuracy',
    'VariantAccuracy'
]
