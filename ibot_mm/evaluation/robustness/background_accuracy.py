"""The backgrounds challenge, ImageNet-9 (arXiv 2006.09994)."""

import json
from pathlib import Path

from torch import Tensor

from ibot_mm.registry import METRICS

from .variant_accuracy import VariantAccuracy


@METRICS.register_module()
class BackgroundAccuracy(VariantAccuracy):
    """Accuracy by variant of ImageNet-9, and the gap between two of them.

    The predicted class of the classifier is mapped to one of the nine classes
    of the set. Classes that belong to none of them count as wrong.

    The metrics are in percent: a key for each variant, and ``bg_gap``, the
    accuracy of ``mixed_same`` minus that of ``mixed_rand``.

    Args:
        mapping: JSON file with the class of ImageNet-9, or -1, for each class
            number of the classifier; ``in_to_in9.json`` in the ``data_root``
            of the data set by default.
        **kwargs: As in the base class.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It maps another number of classes than the classifier has.
    """

    default_prefix = 'in9'

    def __init__(self, mapping: str | None = None, **kwargs) -> None:
        super().__init__(**kwargs)
        self.mapping = mapping
        self._classes: list[int] | None = None

    def _read(self) -> list[int]:
        """Class of ImageNet-9 by class number."""
        path = Path(self.mapping or Path(self.dataset_meta['data_root'],
                                         'in_to_in9.json'))
        if not path.is_file():
            raise FileNotFoundError(
                f'There is no "{path}", which maps the classes of the '
                'classifier to those of ImageNet-9: copy it from the code of '
                'the backgrounds challenge (MadryLab/backgrounds_challenge), '
                'or set mapping of BackgroundAccuracy.')
        content = json.loads(path.read_text())
        return [content.get(str(i), -1)
                for i in range(1 + max(map(int, content)))]

    def is_correct(self, scores: Tensor, label: int) -> bool:
        """Whether the predicted class is mapped to the label."""
        if self._classes is None:
            self._classes = self._read()
            if len(self._classes) != len(scores):
                raise ValueError(
                    f'the mapping to ImageNet-9 has {len(self._classes)} '
                    f'classes, but the classifier has {len(scores)}: set '
                    'mapping of BackgroundAccuracy to the file for its '
                    'classes.')
        return self._classes[int(scores.argmax())] == label

    def compute_metrics(self, results: list[tuple[str, bool]]
                        ) -> dict[str, float]:
        """Accuracies by variant, and ``bg_gap`` if both variants are there."""
        metrics = super().compute_metrics(results)
        if {'mixed_same', 'mixed_rand'} <= set(metrics):
            metrics['bg_gap'] = metrics['mixed_same'] - metrics['mixed_rand']
        return metrics
