from .clustering import PrototypeClustering, clustering_scores
from .feature_cache import FeatureCache
from .features import Features, extract_features
from .knn import KNNClassification, knn_predict
from .linear_probe_metric import LinearProbeMetric
from .logistic import LogisticRegression
from .retrieval import CopyDetection, RevisitedRetrieval
from .robustness import (
    BackgroundAccuracy,
    CorruptionError,
    RestrictedAccuracy,
    VariantAccuracy,
)
from .video import LabelPropagation

__all__ = [
    'BackgroundAccuracy', 'CopyDetection', 'CorruptionError',
    'FeatureCache', 'Features', 'KNNClassification', 'LabelPropagation',
    'LinearProbeMetric', 'LogisticRegression', 'PrototypeClustering',
    'RestrictedAccuracy', 'RevisitedRetrieval', 'VariantAccuracy',
    'clustering_scores', 'extract_features', 'knn_predict'
]
