from .average_precision import average_precision
from .revisited import RevisitedRetrieval

__all__ = ['RevisitedRetrieval', 'average_precision']
