"""One page about a pre-training run, or about several side by side.

    python tools/visualization/report.py WORK_DIR [WORK_DIR ...] \
        --out report.html

Verdict, numbers, curves, settings that differ from a recipe, pictures and
evaluation tables, in one HTML file without links to other files, which opens
from disk and by mail. Needs matplotlib (requirements/plots.txt).
"""

import argparse
import base64
import html
import statistics
from collections.abc import Iterator, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from mmengine.config import Config
from plot_health import (
    Run,
    add_runs,
    log_entries,
    mark_limits,
    read_runs,
)

from ibot_mm import config_path
from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.engine.health_verdict import judge

RECIPE = 'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'
# Settings of a training; other variables of a config file are not read.
COMPARED = ('model', 'train_dataloader', 'optim_wrapper', 'param_scheduler',
            'default_hooks', 'custom_hooks', 'train_cfg', 'val_dataloader',
            'val_cfg', 'randomness', 'model_wrapper_cfg')
PANELS = (
    ('loss', 'loss'), ('loss_cls_global', 'CLS loss, global views'),
    ('loss_cls_local', 'CLS loss, local views'), ('loss_patch', 'patch loss'),
    ('entropy_cls', 'entropy of the teacher, CLS (nats)'),
    ('entropy_patch', 'entropy of the teacher, patches (nats)'),
    ('kl_cls', 'KL(teacher || student), CLS (nats)'),
    ('kl_patch', 'KL(teacher || student), patches (nats)'),
    ('lr', 'learning rate'), ('momentum', 'momentum of the teacher'),
    ('grad_norm', 'norm of the gradients'),
    ('images_per_second', 'images per second'),
    ('data_wait', 'share of time waiting for data'))
STYLE = '''body{font-family:sans-serif;margin:1em auto;max-width:75em}
table{border-collapse:collapse}td,th{border:1px solid #bbb;padding:.3em .6em;
text-align:left;vertical-align:top}svg,img{max-width:100%;height:auto}'''


def validations(work_dir: Path) -> dict[str, list[tuple[int, float]]]:
    """Values of the validations by name, as (epoch, value)."""
    values: dict[str, dict[int, float]] = {}
    for entry in log_entries(work_dir):
        if 'loss' not in entry:
            for name, value in entry.items():
                if name != 'step':
                    values.setdefault(name, {})[entry['step']] = value
    return {name: sorted(points.items()) for name, points in values.items()}


def flattened(settings: Any, prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Keys, with dots, and values of nested dicts and lists of dicts."""
    if isinstance(settings, (list, tuple)) and all(
            isinstance(item, dict) for item in settings):
        settings = {str(i): item for i, item in enumerate(settings)}
    if not isinstance(settings, dict):
        yield prefix, settings
        return
    for key, value in settings.items():
        yield from flattened(value, f'{prefix}.{key}' if prefix else key)


def differences(cfg: Config, recipe: Config) -> list[tuple[str, str, str]]:
    """Keys whose values differ, with those of the recipe and of the run."""
    ours, theirs = (dict(flattened(
        {key: config[key] for key in COMPARED if key in config}))
        for config in (cfg, recipe))
    rows = []
    for key in [*theirs, *(key for key in ours if key not in theirs)]:
        before, after = (str(values.get(key, '-'))
                         for values in (theirs, ours))
        if before != after:
            rows.append((key, before, after))
    return rows


def numbers(run: Run, work_dir: Path) -> dict[str, str]:
    """What a table of runs shows of a run."""
    scalars, checks = run.scalars, validations(work_dir)
    rows = {'verdict': '\n'.join(map(str, judge(scalars, run.cfg)))}
    if 'epoch' in scalars:
        iteration, epoch = scalars['epoch'][-1]
        rows['logged until'] = (
            f'iteration {iteration}, epoch {epoch:g} of '
            f'{run.cfg.train_cfg.get("max_epochs", "?")}')
    for name, points in checks.items():
        if name.endswith('top1'):
            epoch, best = max(points, key=lambda point: point[1])
            rows[name] = (f'{points[-1][1]:.1f} at the end, best {best:.1f} '
                          f'in epoch {epoch}')
    for name, words, form in (
            ('images_per_second', 'images per second', ',.1f'),
            ('data_wait', 'waiting for data', '.1%'),
            ('memory', 'memory of GPU or process, MiB', ',.0f')):
        if name in scalars:
            middle = statistics.median(value for _, value in scalars[name])
            rows[words] = f'{middle:{form}} (median)'
    skipped = scalars.get('skipped_steps', [(0, 0)])[-1][1]
    rows['skipped steps'] = f'{skipped:g}'
    bad = work_dir / 'bad_files.txt'
    count = len(bad.read_text().splitlines()) if bad.exists() else 0
    rows['bad files'] = f'{count} lines in bad_files.txt' if count else '0'
    return rows


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """An HTML table of plain text."""
    def row(cells: Sequence[str], tag: str) -> str:
        return '<tr>' + ''.join(
            f'<{tag}>' + html.escape(str(cell)).replace('\n', '<br>')
            + f'</{tag}>' for cell in cells) + '</tr>'
    return ('<table>' + row(head, 'th')
            + ''.join(row(cells, 'td') for cells in rows) + '</table>')


def curves(runs: Sequence[Run], work_dirs: Sequence[Path]) -> str:
    """All curves as one SVG picture."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    checks = list(map(validations, work_dirs))
    shown = sorted({name for values in checks for name in values
                    if name.endswith('top1')})
    figure, axes = plt.subplots(-(-(len(PANELS) + len(shown)) // 4), 4,
                                figsize=(18, 14), squeeze=False)
    panels = iter(axes.flat)
    for name, title in PANELS:
        axis = next(panels)
        for i, run in enumerate(runs):
            points = run.scalars.get(name, [(0, float('nan'))])
            axis.plot(*zip(*points), label=run.label, color=f'C{i}',
                      marker='.' if len(points) < 30 else None)
        mark_limits(axis, name, runs)
        axis.set_title(f'{title}, by iteration', fontsize=9)
    for name in shown:
        axis = next(panels)
        for i, (run, values) in enumerate(zip(runs, checks)):
            axis.plot(*zip(*values.get(name, [(0, float('nan'))])),
                      label=run.label, color=f'C{i}', marker='.')
        axis.set_title(f'{name}, by epoch', fontsize=9)
    for axis in panels:
        axis.remove()
    for axis in figure.axes:
        axis.grid(alpha=0.3)
        axis.tick_params(labelsize=7)
    figure.axes[0].legend(fontsize=8)
    figure.tight_layout()
    text = StringIO()
    figure.savefig(text, format='svg')
    plt.close(figure)
    return text.getvalue()[text.getvalue().index('<svg'):]


def sections(runs: Sequence[Run], work_dirs: Sequence[Path],
             recipe: Config) -> Iterator[str]:
    """The parts of the page."""
    columns = list(map(numbers, runs, work_dirs))
    names = dict.fromkeys(name for column in columns for name in column)
    yield table(['', *(run.label for run in runs)], [
        [name, *(column.get(name, '-') for column in columns)]
        for name in names])
    yield '<h2>Curves</h2>' + curves(runs, work_dirs)
    for run, work_dir in zip(runs, work_dirs):
        yield f'<h1>{html.escape(run.label)}</h1>'
        for picture in sorted(work_dir.glob('pictures/*.png')):
            data = base64.b64encode(picture.read_bytes()).decode()
            yield (f'<h2>{html.escape(picture.stem)}</h2>'
                   f'<img src="data:image/png;base64,{data}">')
        for results in sorted(work_dir.glob('**/results.md')):
            yield ('<h2>Evaluation</h2><pre>'
                   f'{html.escape(results.read_text())}</pre>')
        rows = differences(run.cfg, recipe)
        yield ('<h2>Settings that differ from '
               f'{html.escape(Path(recipe.filename).name)}</h2>'
               + table(['key', 'recipe', 'run'], rows))


@report_errors
def main() -> None:
    """Read the logs and write the page."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    add_runs(parser)
    parser.add_argument('--recipe', default=config_path(RECIPE),
                        help='config that settings are compared with '
                        '(default: the published ViT-S/16)')
    parser.add_argument('--out', type=Path, default=Path('report.html'),
                        help='default: report.html')
    args = parser.parse_args()
    runs = read_runs(parser, args)
    body = '\n'.join(sections(runs, args.work_dirs,
                              Config.fromfile(args.recipe)))
    args.out.write_text(
        '<!doctype html><meta charset="utf-8"><title>Pre-training</title>'
        f'<style>{STYLE}</style>\n<h1>Pre-training</h1>\n{body}\n',
        encoding='utf-8')
    print(f'wrote {args.out}')


if __name__ == '__main__':
    main()
