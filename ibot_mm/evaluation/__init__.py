from .clustering import (
    PrototypeClustering,
    TeacherClustering,
    clustering_scores,
)
from .feature_cache import FeatureCache
from .features import Features, extract_features
from .frozen_teacher import FrozenTeacher
from .knn import KNNClassification, knn_predict
from .knn_segmentation import KNNSegmentation
from .label_free import Alignment, LiDAR, PartMatches, RankMe, Uniformity
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
from .views import ViewDataset

__all__ = [
    'Alignment', 'BackgroundAccuracy', 'CopyDetection', 'CorruptionError',
    'FeatureCache', 'Features', 'FrozenTeacher', 'KNNClassification',
    'KNNSegmentation', 'LabelPropagation', 'LiDAR', 'LinearProbeMetric',
    'LogisticRegression', 'PartMatches', 'PrototypeClustering', 'RankMe',
    'RestrictedAccuracy', 'RevisitedRetrieval', 'TeacherClustering',
    'Uniformity', 'VariantAccuracy', 'ViewDataset', 'clustering_scores',
    'extract_features', 'knn_predict'
]
