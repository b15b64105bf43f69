"""Say whether pre-training runs are healthy, and plot their statistics.

    python tools/visualization/plot_health.py WORK_DIR [WORK_DIR ...]
    python tools/visualization/plot_health.py WORK_DIR [WORK_DIR ...] \
        --out health.png

Reads ``WORK_DIR/*/vis_data/`` (resumed runs have several such folders),
prints a verdict per work directory and, with ``--out``, plots one line per
work directory. Dashed lines are log K, what is shaded is healthy.
"""

import argparse
import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mmengine.config import Config

from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.engine.health_verdict import (
    Scalars,
    health_hook,
    judge,
    num_prototypes,
)
from ibot_mm.engine.hooks.teacher_ema_hook import HIGH_SHARE

PANELS = (
    ('loss_cls_global', 'CLS loss, global views'),
    ('loss_cls_local', 'CLS loss, local views'),
    ('entropy_cls', 'entropy of the teacher, CLS (nats)'),
    ('kl_cls', 'KL(teacher || student), CLS (nats)'),
    ('agreement_cls', 'same most likely prototype, CLS'),
    ('prototypes_cls', 'prototypes in use, CLS'),
    ('teacher_initial_share', 'initial weights in the teacher'),
    ('loss_patch', 'patch loss'),
    ('entropy_patch', 'entropy of the teacher, patches (nats)'),
    ('kl_patch', 'KL(teacher || student), patches (nats)'),
    ('agreement_patch', 'same most likely prototype, patches'),
    ('prototypes_patch', 'prototypes in use, patches'),
    ('grad_norm', 'norm of the gradients'),
    ('skipped_steps', 'skipped steps so far'),
)


class Run(NamedTuple):
    """A run: its name, config and log."""

    label: str
    cfg: Config
    scalars: Scalars


def log_entries(work_dir: Path) -> Iterator[dict]:
    """Lines of all logs in order; one that a killed run left open is none."""
    for file in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in file.read_text().splitlines():
            if line.endswith('}'):
                yield json.loads(line)


def read_run(work_dir: Path, label: str) -> Run:
    """Read the log of a work directory; later files take precedence.

    Raises:
        FileNotFoundError: The directory contains no log of a pre-training.
    """
    configs = sorted(work_dir.glob('*/vis_data/config.py'))
    values: dict[str, dict[int, float]] = {}
    for entry in log_entries(work_dir):
        if 'loss' in entry:
            for name, value in entry.items():
                values.setdefault(name, {})[entry['iter']] = value
    if not configs or values and 'loss_patch' not in values:
        raise FileNotFoundError(
            f'"{work_dir}" contains no log of a pre-training '
            '(*/vis_data/config.py and scalars.json): it is not the work '
            'directory of one.')
    return Run(label, Config.fromfile(configs[-1]), {
        name: sorted(points.items()) for name, points in values.items()})


def add_runs(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that name runs."""
    parser.add_argument('work_dirs', nargs='+', type=Path)
    parser.add_argument('--labels', nargs='+', help='one per work directory')


def read_runs(parser: argparse.ArgumentParser,
              args: argparse.Namespace) -> list[Run]:
    """Read the runs that the arguments of :func:`add_runs` name."""
    labels = args.labels or [path.name for path in args.work_dirs]
    if len(labels) != len(args.work_dirs):
        parser.error('--labels needs one label per work directory.')
    return list(map(read_run, args.work_dirs, labels))


def mark_limits(axis, name: str, runs: Sequence[Run]) -> None:
    """Mark log K and the healthy range, as the hooks define them."""
    what, _, kind = name.rpartition('_')
    if what == 'entropy':
        for limit, tolerance in {
            (math.log(num_prototypes(run.cfg)[kind]),
             health_hook(run.cfg, run.scalars).tolerance) for run in runs}:
            axis.axhline(limit, color='gray', linestyle='--', linewidth=1)
            axis.axhspan(tolerance * limit, (1 - tolerance) * limit,
                         color='green', alpha=0.06)
    elif what == 'kl':
        axis.axhline(0, color='gray', linestyle='--', linewidth=1)
    elif name == 'teacher_initial_share':
        axis.axhspan(0, HIGH_SHARE, color='green', alpha=0.06)


def plot(runs: Sequence[Run], out: Path) -> None:
    """Plot all panels to an image file."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 7, figsize=(24, 6))
    for axis, (name, title) in zip(axes.flat, PANELS):
        for i, run in enumerate(runs):
            points = run.scalars.get(name, [(0, float('nan'))])
            # A line needs two points.
            axis.plot(*zip(*points), label=run.label, color=f'C{i}',
                      marker='.' if len(points) < 30 else None)
        mark_limits(axis, name, runs)
        axis.set_title(title, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
    axes.flat[0].legend(fontsize=8)
    for axis in axes[1]:
        axis.set_xlabel('iteration', fontsize=8)
    figure.tight_layout()
    figure.savefig(out, dpi=80)


@report_errors
def main() -> None:
    """Read the logs, judge and plot them."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser)
    parser.add_argument('--out', type=Path, help='picture to write')
    args = parser.parse_args()
    runs = read_runs(parser, args)
    for run in runs:
        for finding in judge(run.scalars, run.cfg):
            print(f'{run.label}: {finding}')
    if args.out:
        plot(runs, args.out)
        print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
