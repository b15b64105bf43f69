"""Plot the monitoring statistics of pre-training runs.

    python tools/visualization/plot_health.py WORK_DIR [WORK_DIR ...] \
        --out health.png

Reads ``WORK_DIR/*/vis_data/scalars.json`` (resumed runs have several) and
plots one line per work directory.
"""

import argparse
import json
from pathlib import Path

from ibot_mm.command_line import CommandParser, report_errors

PANELS = (
    ('loss_cls_global', 'CLS loss, global views'),
    ('loss_cls_local', 'CLS loss, local views'),
    ('entropy_cls', 'entropy of the teacher, CLS (nats)'),
    ('kl_cls', 'KL(teacher || student), CLS (nats)'),
    ('agreement_cls', 'same most likely prototype, CLS'),
    ('prototypes_cls', 'prototypes in use, CLS'),
    ('loss_patch', 'patch loss'),
    ('entropy_patch', 'entropy of the teacher, patches (nats)'),
    ('kl_patch', 'KL(teacher || student), patches (nats)'),
    ('agreement_patch', 'same most likely prototype, patches'),
    ('prototypes_patch', 'prototypes in use, patches'),
    ('grad_norm', 'norm of the gradients'),
)


def read_scalars(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Read (iteration, value) pairs by name; later files take precedence.

    Raises:
        FileNotFoundError: The directory contains no training logs.
    """
    files = sorted(work_dir.glob('*/vis_data/scalars.json'))
    if not files:
        raise FileNotFoundError(
            f'"{work_dir}" contains no */vis_data/scalars.json: it is not '
            'the work directory of a training run.')
    values: dict[str, dict[int, float]] = {}
    for file in files:
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                for name, value in entry.items():
                    values.setdefault(name, {})[entry['iter']] = value
    return {name: sorted(points.items()) for name, points in values.items()}


def plot(runs: dict[str, dict], out: Path) -> None:
    """Plot all panels.

    Args:
        runs: Scalars by label.
        out: Image file to write.
    """
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    figure, axes = plt.subplots(2, 6, figsize=(21, 6))
    for axis, (name, title) in zip(axes.flat, PANELS):
        for label, scalars in runs.items():
            axis.plot(*zip(*scalars.get(name, [(0, float('nan'))])),
                      label=label)
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
    """Read the logs and plot them."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('work_dirs', nargs='+', type=Path)
    parser.add_argument('--labels', nargs='+', help='one per work directory')
    parser.add_argument('--out', type=Path, default=Path('health.png'))
    args = parser.parse_args()
    labels = args.labels or [path.name for path in args.work_dirs]
    if len(labels) != len(args.work_dirs):
        parser.error('--labels needs one label per work directory.')
    plot({label: read_scalars(path)
          for label, path in zip(labels, args.work_dirs)}, args.out)
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
