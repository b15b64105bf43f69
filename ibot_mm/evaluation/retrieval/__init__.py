from .average_precision import average_precision
from .copy_detection import CopyDetection
from .revisited import RevisitedRetrieval
from .whitening import fit_whitening

__all__ = [
    'CopyDetection', 'RevisitedRetrieval', 'average_precision', 'fit_whitening'
]
