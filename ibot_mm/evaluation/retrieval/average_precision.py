"""Average precision of a ranking."""

from collections.abc import Sequence


def average_precision(ranks: Sequence[int], num_positives: int) -> float:
    """Area under the precision-recall curve, by the trapezoidal rule.

    Each positive adds 1 / num_positives of recall, with the mean of the
    precisions just before and at its rank, as in the code of both Oxford
    buildings and Copydays.

    Args:
        ranks: Ranks of the positives that were found, from 0, ascending.
        num_positives: Number of positives, found or not, at least 1.

    Returns:
        From 0 to 1.
    """
    total = 0.
    for found, rank in enumerate(ranks):
        before = found / rank if rank else 1.
        total += (before + (found + 1) / (rank + 1)) / 2
    return total / num_positives
