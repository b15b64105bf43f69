"""Compare measures of quality with k-NN over the validations of runs.

    python tools/visualization/plot_quality.py WORK_DIR [WORK_DIR ...] \
        --out quality.png

Reads the validations in ``WORK_DIR/*/vis_data/scalars.json`` and prints
Spearman's rank correlation of each measure with k-NN: over the validations of
each run, of all runs, and of the last ones of the runs. 1.00 is the same
order. The sign is that of quality: alignment and uniformity, where lower is
better, are counted as their negatives. --out draws one panel per measure.
Needs SciPy (requirements/optional.txt), --out needs matplotlib
(requirements/plots.txt).
"""

import argparse
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

from plot_health import log_entries

from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.dependencies import import_optional

# Where lower is better.
LOWER = ('quality/alignment', 'quality/uniformity')

Validations = dict[int, dict[str, float]]


def read_validations(work_dir: Path, metric: str) -> Validations:
    """Metrics of the validations by epoch; later files take precedence.

    Raises:
        ValueError: No validation has the metric and others to compare.
    """
    found = {entry['step']: entry for entry in log_entries(work_dir)
             if metric in entry and measures(entry, metric)}
    if not found:
        raise ValueError(
            f'"{work_dir}" has no validation with {metric} and '
            'another quality/...: name evaluators in val_evaluator of its '
            'config.')
    return dict(sorted(found.items()))


def measures(names: Iterable[str], metric: str) -> list[str]:
    """Those of the names that are compared with the metric, each once."""
    return [name for name in dict.fromkeys(names) if name != metric
            and name.startswith('quality/') and not name.endswith('_chance')]


def rank_correlation(entries: Sequence[dict[str, float]], name: str,
                     metric: str) -> float:
    """Spearman's, by the sign of quality; NaN for fewer than 3 values."""
    stats = import_optional('scipy.stats', 'rank correlation', 'optional')
    pairs = [(entry[name], entry[metric]) for entry in entries
             if name in entry]
    if len(pairs) < 3:
        return float('nan')
    with warnings.catch_warnings():  # all values alike: NaN
        warnings.simplefilter('ignore')
        value = float(stats.spearmanr(*zip(*pairs))[0])
    return -value if (name in LOWER) != (metric in LOWER) else value


def table(runs: dict[str, Validations], metric: str) -> str:
    """Rank correlations of all measures as lines of text."""
    groups = {name: list(run.values()) for name, run in runs.items()}
    if len(runs) > 1:
        groups['all'] = [e for run in runs.values() for e in run.values()]
        groups['last of each'] = [[*run.values()][-1]
                                  for run in runs.values()]
    names = measures((name for run in runs.values()
                      for entry in run.values() for name in entry), metric)
    widths = [max(len(group), 5) for group in groups]
    lines = [f'{"":24}' + ''.join(
        f'  {group:>{width}}' for group, width in zip(groups, widths))]
    for name in names:
        values = (rank_correlation(entries, name, metric)
                  for entries in groups.values())
        lines.append(f'{name:24}' + ''.join(
            f'  {"-" if value != value else f"{value:.2f}":>{width}}'
            for value, width in zip(values, widths)))
    return '\n'.join(lines)


def plot(runs: dict[str, Validations], metric: str, out: Path) -> None:
    """Draw the metric and the measures over the epochs."""
    matplotlib = import_optional('matplotlib', '--out', 'plots')
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    names = [metric, *measures(
        (name for run in runs.values() for entry in run.values()
         for name in entry), metric)]
    columns = (len(names) + 1) // 2
    figure, axes = plt.subplots(2, columns, squeeze=False,
                                figsize=(3.4 * columns, 6))
    for axis, name in zip(axes.flat, names):
        for label, run in runs.items():
            points = [(epoch, entry[name]) for epoch, entry in run.items()
                      if name in entry]
            axis.plot(*zip(*points), label=label, marker='.')
        axis.set_title(name + (' (lower is better)' if name in LOWER else ''),
                       fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        axis.set_xlabel('epoch', fontsize=8)
    for axis in axes.flat[len(names):]:
        axis.axis('off')
    axes.flat[0].legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=80)


@report_errors
def main() -> None:
    """Read the logs, then compare and plot."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path)
    parser.add_argument('--metric', default='knn/top1', help='metric of the '
                        'log to compare with (default: knn/top1)')
    parser.add_argument('--out', type=Path, help='picture to write')
    args = parser.parse_args()
    runs = {str(path): read_validations(path, args.metric)
            for path in args.work_dirs}
    print(table(runs, args.metric))
    if args.out:
        plot(runs, args.metric, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
