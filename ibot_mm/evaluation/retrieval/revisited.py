"""Protocol of Revisited Oxford and Paris (arXiv 1803.11285)."""

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ibot_mm.datasets.ground_truth import read_ground_truth
from ibot_mm.evaluation.features import Features
from ibot_mm.registry import EVALUATORS

from .average_precision import average_precision

# What counts as positive and what is ignored.
SETUPS = dict(
    medium=(('easy', 'hard'), ('junk', )),
    hard=(('hard', ), ('easy', 'junk')))


def positive_ranks(ranking: np.ndarray, positives: Sequence[int],
                   junk: Sequence[int]) -> np.ndarray:
    """Ranks of the positives, from 0, after junk is taken out.

    Args:
        ranking: Numbers of the images of the database, nearest first.
        positives: Those that count.
        junk: Those that neither count nor take a rank.

    Returns:
        Ascending.
    """
    kept = ranking[~np.isin(ranking, junk)]
    return np.flatnonzero(np.isin(kept, positives))


def precision_at(ranks: np.ndarray, k: int) -> float:
    """Share of positives among the first k.

    As in the authors' code, k is the rank of the last positive if that is
    smaller.

    Args:
        ranks: Ranks of all positives, from 0, ascending.
        k: Number of images.
    """
    k = min(k, int(ranks[-1]) + 1)
    return float((ranks < k).sum()) / k


@EVALUATORS.register_module()
class RevisitedRetrieval:
    """Mean average precision of cosine ranking, medium and hard.

    Args:
        ann_file: Ground truth of the data set, ``gnd_<name>.pkl``, with its
            folder.
        k: Numbers of images for the mean precisions at k.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It cannot be read.
    """

    needs_bank = True

    def __init__(self, ann_file: str, k: Sequence[int] = (1, 5, 10)) -> None:
        self.ann_file = ann_file
        truth = read_ground_truth(ann_file, ('gnd', 'imlist'))
        self.queries, self.num_images = truth['gnd'], len(truth['imlist'])
        self.k = list(k)

    def __call__(self, queries: Features, bank: Features,
                 device: torch.device) -> dict[str, float]:
        """Rank the database for each query.

        Args:
            queries: Features of ``RevisitedBuildings`` with
                ``split='queries'``.
            bank: Features of the database.
            device: Device to compute on.

        Returns:
            ``revisited/<setup>_mAP`` and ``revisited/<setup>_mP@<k>`` in
            percent for both setups, over the queries with positives.

        Raises:
            ValueError: The ground truth is of other data, or no query has a
                positive.
        """
        wanted = len(self.queries), self.num_images
        found = len(queries.labels), len(bank.labels)
        if wanted != found:
            raise ValueError(
                f'"{self.ann_file}" has {wanted[0]} queries and {wanted[1]} '
                f'images, but the data sets have {found[0]} and {found[1]}; '
                'set ann_file of the protocol and of the data sets to the '
                'same file.')
        similarity = F.normalize(queries.vectors.to(device)) @ F.normalize(
            bank.vectors.to(device)).T
        rankings = similarity.argsort(dim=1, descending=True).cpu().numpy()
        metrics = {}
        for setup, (positive, ignored) in SETUPS.items():
            scores = [scores for ranking, query in zip(rankings, self.queries)
                      if (scores := self._scores(
                          ranking, _images(query, positive),
                          _images(query, ignored)))]
            if not scores:
                raise ValueError(f'"{self.ann_file}": no query has an image '
                                 f'for the setup "{setup}".')
            names = ['mAP', *(f'mP@{k}' for k in self.k)]
            metrics.update(
                (f'revisited/{setup}_{name}', 100 * float(value))
                for name, value in zip(names, np.mean(scores, axis=0)))
        return metrics

    def _scores(self, ranking: np.ndarray, positives: Sequence[int],
                junk: Sequence[int]) -> list[float]:
        """Average precision and precisions at k; empty without positives."""
        if not len(positives):
            return []
        ranks = positive_ranks(ranking, positives, junk)
        return [average_precision(ranks, len(positives)),
                *(precision_at(ranks, k) for k in self.k)]


def _images(query: dict, kinds: Sequence[str]) -> list[int]:
    """Images of a query that are of these kinds."""
    return [int(i) for kind in kinds for i in query[kind]]
