"""Unsupervised classification: agreement of prototypes with classes."""

import numpy as np
import torch
from mmpretrain.utils import require

from ibot_mm.registry import EVALUATORS

from .features import Features
from .frozen_teacher import FrozenTeacher


@require('scikit-learn')
def clustering_scores(labels: np.ndarray,
                      clusters: np.ndarray) -> dict[str, float]:
    """Agreement of clusters with classes (paper, unsupervised learning).

    Args:
        labels: Class of each sample, integers (N,).
        clusters: Cluster of each sample, integers (N,). The numbers of
            clusters and classes may differ.

    Returns:
        ``acc``, the accuracy under the best one-to-one assignment of clusters
        to classes (Hungarian algorithm; samples of unassigned clusters count
        as errors), ``ari``, ``nmi`` and ``fmi``, as fractions.
    """
    from scipy import optimize
    from sklearn import metrics
    classes, label_rank = np.unique(labels, return_inverse=True)
    names, cluster_rank = np.unique(clusters, return_inverse=True)
    counts = np.zeros((len(names), len(classes)), dtype=np.int64)
    np.add.at(counts, (cluster_rank, label_rank), 1)
    assigned = counts[optimize.linear_sum_assignment(counts, maximize=True)]
    return dict(
        acc=float(assigned.sum() / len(labels)),
        ari=float(metrics.adjusted_rand_score(labels, clusters)),
        nmi=float(metrics.normalized_mutual_info_score(labels, clusters)),
        fmi=float(metrics.fowlkes_mallows_score(labels, clusters)))


@EVALUATORS.register_module()
class PrototypeClustering:
    """Clustering of images by their most likely prototype."""

    needs_bank = False

    def __call__(self, queries: Features, bank: Features | None,
                 device: torch.device) -> dict[str, float]:
        """Compare the most likely prototypes with the classes.

        Args:
            queries: Features whose vectors are prototype logits.
            bank: Not used.
            device: Not used.

        Returns:
            ``unsupervised/acc``, ``/ari``, ``/nmi``, ``/fmi`` in percent, and
            ``/clusters``, the number of prototypes used.
        """
        clusters = queries.vectors.argmax(1).numpy()
        scores = clustering_scores(queries.labels.numpy(), clusters)
        metrics = {
            f'unsupervised/{name}': 100 * value
            for name, value in scores.items()
        }
        metrics['unsupervised/clusters'] = float(len(np.unique(clusters)))
        return metrics


@EVALUATORS.register_module()
class TeacherClustering:
    """Agreement of the teacher's assignments with labels, in a pre-training.

    The log of the official code has the same three numbers; there they are of
    the first view of the training images while the network changes, here of
    the validation images.
    """

    @require('scikit-learn')
    def __init__(self) -> None:
        pass  # said when the training is set up, not at its validation

    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Compare the most likely prototypes with the classes.

        Returns:
            ``quality/nmi``, ``/ari``, and ``/fmi``, which the official code
            calls F, in percent.

        Raises:
            ValueError: Images have no label.
        """
        labels = teacher.features.labels
        if (labels < 0).any():
            raise ValueError(
                'TeacherClustering needs labels, but images of '
                'val_dataloader have none: remove it from val_evaluator, or '
                'set val_dataloader to labeled images.')
        scores = clustering_scores(labels.numpy(),
                                   teacher.assignments.numpy())
        return {f'quality/{name}': 100 * scores[name]
                for name in ('nmi', 'ari', 'fmi')}
