"""Accuracy of a classifier by perturbation, and what follows from it."""

from collections.abc import Iterable

import numpy as np
import torch
from mmengine.dist import all_reduce
from torch import Tensor

# Perturbations whose strength is the share of the image that is lost.
DROPS = ('random', 'salient', 'non_salient')


class PerturbationAccuracy:
    """Counts of correct predictions, by perturbation, setting and repeat.

    Args:
        settings: Perturbations ('clean', 'random', 'salient', 'non_salient',
            'shuffle') and their settings, such as ('random', '0.3').
        repeats: Number of repeats of those that are random.
    """

    def __init__(self, settings: Iterable[tuple[str, str]],
                 repeats: int) -> None:
        # Correct predictions, summed shares of the image that are lost, and
        # images, by repeat.
        self.sums = {key: torch.zeros(repeats, 3, dtype=torch.float64)
                     for key in settings}

    def add(self, kind: str, setting: str, repeat: int, correct: Tensor,
            lost: Tensor | None = None) -> None:
        """Add a batch.

        Args:
            kind: Perturbation.
            setting: Its setting.
            repeat: Number of the repeat, from 0.
            correct: Whether predictions are right, (B, ).
            lost: Dropped patches, bool (B, h, w).
        """
        share = 0. if lost is None else lost.double().mean() * len(lost)
        self.sums[kind, setting][repeat] += torch.tensor(
            [float(correct.sum()), float(share), len(correct)],
            dtype=torch.float64)

    def reduce(self) -> None:
        """Sum over all processes."""
        for sums in self.sums.values():
            all_reduce(sums)

    def points(self, kind: str) -> dict[str, tuple[float, float, float]]:
        """Loss, mean accuracy and standard deviation in percent by setting."""
        found = {}
        for (name, setting), sums in self.sums.items():
            used = sums[sums[:, 2] > 0]
            if name == kind and len(used):
                accuracy = 100 * used[:, 0] / used[:, 2]
                found[setting] = (
                    float((used[:, 1] / used[:, 2]).mean()),
                    float(accuracy.mean()),
                    float(accuracy.std()) if len(used) > 1 else 0.)
        return found

    def metrics(self) -> dict[str, float]:
        """See ``PerturbationTestLoop``."""
        metrics = {'clean': self.points('clean')[''][1]}
        for kind in DROPS:
            points = self.points(kind)
            for setting, (lost, mean, std) in points.items():
                metrics[f'{kind}_{setting}'] = mean
                if kind == 'random':
                    metrics[f'{kind}_{setting}_std'] = std
                else:
                    metrics[f'{kind}_{setting}_loss'] = lost
            if points:
                lost, mean, _ = zip(*sorted(points.values()))
                if lost[0] <= 0.5 <= lost[-1]:
                    metrics[f'{kind}_at_0.5'] = float(
                        np.interp(0.5, lost, mean))
        for setting, (_, mean, std) in self.points('shuffle').items():
            metrics[f'shuffle_{setting}'] = mean
            metrics[f'shuffle_{setting}_std'] = std
        return metrics

    def panels(self) -> dict[str, dict[str, list]]:
        """Curves for ``draw_curves`` of ibot_mm.visualization."""
        drops = {f'{kind} patches'.replace('_', '-'):
                 list(self.points(kind).values())
                 for kind in DROPS if self.points(kind)}
        shuffles = [(float(np.prod([*map(int, setting.split('x'))])), mean,
                     std)
                    for setting, (_, mean, std) in self.points(
                        'shuffle').items()]
        panels = {}
        if drops:
            panels['share of the patches that is dropped'] = drops
        if shuffles:
            panels['number of shuffled cells'] = {'shuffled': shuffles}
        return panels
