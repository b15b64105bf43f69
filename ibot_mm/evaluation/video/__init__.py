from .propagation import LabelPropagation, labels_from_soft
from .region_contour import VOID, score_frame

__all__ = ['LabelPropagation', 'VOID', 'labels_from_soft', 'score_frame']
