"""Curves of accuracy against dropped patches and shuffled cells."""

from collections.abc import Mapping, Sequence
from pathlib import Path

# Name of a curve -> (x, mean accuracy, standard deviation) of its points.
Curves = Mapping[str, Sequence[tuple[float, float, float]]]


def draw_curves(path: Path, panels: Mapping[str, Curves]) -> None:
    """Draw panels of curves side by side, with bands of the spread.

    Args:
        path: PNG file to write.
        panels: Curves by the name of the x axis.

    Raises:
        ImportError: matplotlib is not installed.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5.5 * len(panels), 4), squeeze=False,
        layout='constrained')
    for axis, (label, curves) in zip(axes[0], panels.items()):
        for name, points in curves.items():
            x, mean, std = zip(*sorted(points))
            if x[-1] > 1:  # numbers of cells
                axis.set_xscale('log', base=2)
            axis.plot(x, mean, marker='.', label=name)
            axis.fill_between(x, [m - s for m, s in zip(mean, std)],
                              [m + s for m, s in zip(mean, std)], alpha=0.2)
        axis.set_xlabel(label)
        axis.set_ylabel('top-1 accuracy (%)')
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend()
    figure.savefig(path, dpi=100)
    plt.close(figure)
