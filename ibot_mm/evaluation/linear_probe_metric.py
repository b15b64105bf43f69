"""Accuracies of a linear probe for all learning rates."""

import logging
from collections.abc import Sequence

import torch
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from ibot_mm.registry import METRICS


def rate_table(rates: Sequence[float], accuracies: Sequence[float]) -> str:
    """Format accuracies as a table with nine learning rates per row."""
    lines = []
    for i in range(0, len(rates), 9):
        cells = (f'{rate:g}: {accuracy:.2f}' for rate, accuracy in zip(
            rates[i:i + 9], accuracies[i:i + 9]))
        lines.append('  '.join(f'{cell:>15}' for cell in cells))
    return '\n'.join(lines)


@METRICS.register_module()
class LinearProbeMetric(BaseMetric):
    """Best accuracy over the learning rates of :class:`LinearProbe`.

    The log has the accuracies of all learning rates. Samplers must not repeat
    samples (``round_up=False``).

    Args:
        **kwargs: As in the base class.
    """

    default_prefix = 'linear'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Store the counts of a batch."""
        self.results.extend(data_samples)

    def compute_metrics(self, results: list[dict]) -> dict[str, float]:
        """Accuracies of the data set.

        Args:
            results: Counts of all batches: ``top1`` and ``top5`` (L,),
                ``count`` and ``rates`` (L,).

        Returns:
            ``top1`` and ``top5`` in percent for the learning rate with the
            best top-1 accuracy, and that learning rate, ``lr``.
        """
        total = sum(result['count'] for result in results)
        top1, top5 = (
            100 * torch.stack([result[key].double() for result in results])
            .sum(0) / total for key in ('top1', 'top5'))
        rates = results[0]['rates']
        best = int(top1.argmax())
        print_log(
            'top-1 accuracy by learning rate (for a batch of 256):\n'
            + rate_table(rates, top1.tolist())
            + f'\nbest: {rates[best]:g} with {float(top1[best]):.2f}',
            'current', logging.INFO)
        return dict(
            top1=float(top1[best]), top5=float(top5[best]), lr=rates[best])
