"""Accuracy among a part of a classifier's classes."""

from typing import Any

from torch import Tensor

from ibot_mm.registry import METRICS

from .variant_accuracy import VariantAccuracy


@METRICS.register_module()
class RestrictedAccuracy(VariantAccuracy):
    """Accuracy among the classes that a ``VariantDataset`` has images of.

    The published accuracies on ImageNet-A and ImageNet-R (200 of 1000
    classes) are of this kind: scores of other classes are left out before the
    largest is taken.

    The metric ``top1`` is in percent. The log tells among how many classes.
    """

    default_prefix = 'restricted'

    def is_correct(self, scores: Tensor, label: int) -> bool:
        """Whether the largest score of the present classes is the label's."""
        present = self.dataset_meta['present_classes']
        if present[-1] >= len(scores):
            raise ValueError(
                f'the data set has class {present[-1]}, but the classifier '
                f'has classes 0 to {len(scores) - 1}: it was trained on '
                'other classes.')
        return present[int(scores[present].argmax())] == label

    def compute_metrics(self, results: list[tuple[str, bool]]
                        ) -> dict[str, Any]:
        """The accuracy over all images, and the number of classes."""
        return dict(
            top1=100 * sum(correct for _, correct in results) / len(results),
            classes=len(self.dataset_meta['present_classes']))
