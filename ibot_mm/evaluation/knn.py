"""Weighted k-NN classifier (Wu et al., arXiv 1805.01978), as iBOT uses it."""

import torch
from torch import Tensor


def knn_predict(bank: Tensor,
                bank_labels: Tensor,
                queries: Tensor,
                k: int,
                temperature: float,
                num_classes: int,
                chunk_size: int = 1024) -> Tensor:
    """Classes of the queries, best first.

    A class scores the sum of exp(similarity / temperature) over those of the
    k most similar bank vectors that belong to it.

    Args:
        bank: Vectors of unit length, (N, C).
        bank_labels: Their classes, int64 (N,).
        queries: Vectors of unit length, (M, C).
        k: Neighbours that vote.
        temperature: Of the votes.
        num_classes: Number of classes.
        chunk_size: Queries compared at a time; bounds the memory.

    Returns:
        int64 (M, num_classes): classes in falling order of their score.

    Raises:
        ValueError: k exceeds the size of the bank, or a vector is not finite.
    """
    if not 1 <= k <= len(bank):
        raise ValueError(f'k-NN: k = {k} needs a bank of as many images, got '
                         f'{len(bank)}; lower k.')
    if not (torch.isfinite(bank).all() and torch.isfinite(queries).all()):
        raise ValueError('k-NN: the features hold NaN or infinite values.')
    rankings = []
    for chunk in queries.split(chunk_size):
        similarity, neighbours = (chunk @ bank.T).topk(k, dim=1)
        scores = chunk.new_zeros(len(chunk), num_classes)
        scores.scatter_add_(1, bank_labels[neighbours],
                            (similarity / temperature).exp())
        rankings.append(scores.argsort(dim=1, descending=True))
    return torch.cat(rankings)
