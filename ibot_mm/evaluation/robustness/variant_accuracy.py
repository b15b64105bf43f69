"""Accuracy of a classifier on each variant of a data set."""

from collections.abc import Sequence

from mmengine.evaluator import BaseMetric
from torch import Tensor

from ibot_mm.registry import METRICS


@METRICS.register_module()
class VariantAccuracy(BaseMetric):
    """Top-1 accuracy in percent by variant of ``VariantDataset``.

    Samplers must not repeat samples (``round_up=False``).
    """

    default_prefix = 'variants'

    def process(self, data_batch, data_samples: Sequence[dict]) -> None:
        """Store variant and correctness of a batch of predictions."""
        for sample in data_samples:
            classes = (self.dataset_meta or {}).get('classes')
            if classes and len(classes) != len(sample['pred_score']):
                raise ValueError(
                    f'the classifier has {len(sample["pred_score"])} classes, '
                    f'but the data set has {len(classes)}: set classes_from '
                    'of the data set to the classes of its training.')
            self.results.append((sample['variant'], self.is_correct(
                sample['pred_score'], int(sample['gt_label']))))

    def is_correct(self, scores: Tensor, label: int) -> bool:
        """Whether the scores of all classes, (K, ), predict the label."""
        return int(scores.argmax()) == label

    def compute_metrics(self, results: list[tuple[str, bool]]
                        ) -> dict[str, float]:
        """Accuracy in percent by variant."""
        by_variant: dict[str, list[bool]] = {}
        for variant, correct in results:
            by_variant.setdefault(variant, []).append(correct)
        return {variant: 100 * sum(correct) / len(correct)
                for variant, correct in sorted(by_variant.items())}
