"""Weighted k-NN classifier of iBOT (Wu et al., arXiv 1805.01978)."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce, get_rank, get_world_size
from torch import Tensor

from ibot_mm.registry import EVALUATORS

from .features import Features


def nearest(queries: Tensor, bank: Tensor, k: int,
            chunk_size: int) -> tuple[Tensor, Tensor]:
    """Similarities and indices (M, k) of the k nearest, nearest first."""
    best, index = queries.new_zeros(len(queries), 0), None
    for start in range(0, len(bank), chunk_size):
        part = bank[start:start + chunk_size]
        similarity = queries @ part.T
        found, where = similarity.topk(min(k, len(part)), dim=1)
        where += start
        best = torch.cat([best, found], dim=1)
        index = where if index is None else torch.cat([index, where], dim=1)
        if best.shape[1] > k:
            best, keep = best.topk(k, dim=1)
            index = index.gather(1, keep)
    return best, index


def knn_predict(bank: Tensor,
                bank_labels: Tensor,
                queries: Tensor,
                ks: Sequence[int],
                temperature: float,
                num_classes: int,
                topn: int = 5,
                chunk_size: int = 1024,
                bank_chunk_size: int = 65536,
                device: torch.device | None = None) -> dict[int, Tensor]:
    """Rank the classes of the queries for several k in one pass.

    The score of a class is the sum of exp(similarity / temperature) over its
    members among the k most similar bank vectors. The complete bank is moved
    to the device; chunk_size x bank_chunk_size similarities are computed at a
    time.

    Args:
        bank: Unit-length vectors, (N, C).
        bank_labels: Classes of the bank vectors, int64 (N,).
        queries: Unit-length vectors, (M, C).
        ks: Numbers of neighbors.
        temperature: Temperature of the vote weights.
        num_classes: Number of classes.
        topn: Number of classes to return per query.
        chunk_size: Number of queries compared at a time.
        bank_chunk_size: Number of bank vectors compared at a time.
        device: Device to compute on; that of the queries if None.

    Returns:
        Per k, int64 (M, min(topn, num_classes)): classes in descending order
        of score, -1 for classes without votes.

    Raises:
        ValueError: k exceeds the size of the bank, a label is out of range,
            or a vector is non-finite.
    """
    for k in ks:
        if not 1 <= k <= len(bank):
            raise ValueError(
                f'k-NN: k = {k} needs a bank of at least {k} images, got '
                f'{len(bank)}; lower k.')
    if not (torch.isfinite(bank).all() and torch.isfinite(queries).all()):
        raise ValueError('k-NN: the features contain NaN or infinity.')
    low, high = int(bank_labels.min()), int(bank_labels.max())
    if low < 0 or high >= num_classes:
        raise ValueError(f'k-NN: the labels range from {low} to {high}, but '
                         f'there are {num_classes} classes.')
    device = device or queries.device
    bank, labels = bank.to(device), bank_labels.to(device)
    topn = min(topn, num_classes)
    rankings: dict[int, list] = {k: [] for k in ks}
    for chunk in queries.split(chunk_size):
        chunk = chunk.to(device)
        similarity, neighbors = nearest(chunk, bank, max(ks),
                                        bank_chunk_size)
        votes, classes = (similarity / temperature).exp(), labels[neighbors]
        for k in ks:
            scores = votes.new_zeros(len(chunk), num_classes)
            scores.scatter_add_(1, classes[:, :k], votes[:, :k])
            best, ranking = scores.topk(topn, dim=1)
            rankings[k].append(ranking.masked_fill(best == 0, -1).cpu())
    return {k: torch.cat(parts) for k, parts in rankings.items()}


@EVALUATORS.register_module()
class KNNClassification:
    """Accuracy of weighted k-NN, with the queries distributed over ranks.

    Args:
        k: Numbers of neighbors; one accuracy each.
        temperature: Temperature of the vote weights,
            exp(similarity / temperature).
        topk: Which top-n accuracies to report.
        chunk_size: See :func:`knn_predict`.
        bank_chunk_size: See :func:`knn_predict`.
    """

    needs_bank = True

    def __init__(self,
                 k: Sequence[int] = (10, 20, 100, 200),
                 temperature: float = 0.07,
                 topk: Sequence[int] = (1, 5),
                 chunk_size: int = 1024,
                 bank_chunk_size: int = 65536) -> None:
        self.k = list(k)
        self.temperature = temperature
        self.topk = list(topk)
        self.chunks = dict(
            chunk_size=chunk_size, bank_chunk_size=bank_chunk_size)

    def __call__(self, queries: Features, bank: Features,
                 device: torch.device) -> dict[str, float]:
        """Classify the queries.

        Args:
            queries: Features to classify.
            bank: Features of the neighbors.
            device: Device to compute on.

        Returns:
            ``knn/k<k>_top<n>`` in percent for each k and n, and ``knn/top1``
            for the first k.

        Raises:
            ValueError: See :func:`knn_predict`.
        """
        mine = slice(get_rank(), None, get_world_size())
        labels = queries.labels[mine]
        num_classes = int(max(bank.labels.max(), queries.labels.max())) + 1
        rankings = knn_predict(
            F.normalize(bank.vectors, dim=-1),
            bank.labels,
            F.normalize(queries.vectors[mine], dim=-1),
            self.k,
            self.temperature,
            num_classes,
            topn=max(self.topk),
            device=device,
            **self.chunks)
        metrics = {}
        for k, ranking in rankings.items():
            hits = ranking == labels.unsqueeze(1)
            for n in self.topk:
                count = hits[:, :n].any(1).sum()
                all_reduce(count)
                metrics[f'knn/k{k}_top{n}'] = float(
                    100 * count / len(queries.labels))
        metrics['knn/top1'] = metrics[f'knn/k{self.k[0]}_top{self.topk[0]}']
        return metrics
