"""Tables of gpu_report.py, in Markdown and JSON."""

import json
from pathlib import Path

STEP = ('| ViT | batch | passes | prototypes | dtype | attention | compiled | '
        'images/s | ms | kernels | ms of kernels | ms to launch | peak, GiB | '
        'MFU |')


def number(value: float | None, form: str, factor: float = 1) -> str:
    """A formatted number; '-' if there is none."""
    return '-' if value is None else format(value * factor, form)


def step_cells(row: dict) -> list[str]:
    """Cells of a row of step.py."""
    case = dict(part.split('=') for part in row['name'].split())
    found = row.get('ours', {})
    dtype = case.get('dtype', row.get('dtype', 'bfloat16'))
    cells = [
        case.get('arch', 'tiny'), case['batch'],
        'all' if case['views'] == 'none' else case['views'],
        case.get('prototypes', str(row.get('prototypes', '-'))),
        dtype + (' (no TF32)' if 'no-tf32' in case else ''),
        case.get('sdpa', 'default'), 'yes' if 'compile' in case else 'no']
    if 'reason' in row:
        return [*cells, row['reason'], *[''] * 6]
    return cells + [
        number(found['images_per_second'], '.0f'),
        number(found['seconds'], '.1f', 1e3),
        number(found.get('kernels'), 'd'),
        number(found.get('kernel_seconds'), '.1f', 1e3),
        number(found.get('launch_seconds'), '.1f', 1e3),
        number(found['peak_mib'], '.1f', 1 / 1024),
        number(found.get('mfu'), '.1%')]


def result_of(row: dict) -> str:
    """What a row other than one of step.py found, in words."""
    if 'reason' in row:
        return row['reason']
    if row['part'] == 'tests':
        return ', '.join(f'{row[kind]} {kind}' for kind in (
            'passed', 'failed', 'error', 'skipped') if kind in row) + ''.join(
                f'; {name}' for name in row['failures'])
    if 'images_per_second' not in row:
        return f'done in {row["wall_seconds"]:.0f} s'
    words = [f'{row["images_per_second"]:.0f} images/s']
    if 'seconds' in row:
        words += [f'{1e3 * row["seconds"]:.0f} ms per iteration',
                  f'loss {row["loss"]:.3g} after {row["iterations"]}']
    if row.get('peak_mib'):
        words.append(f'{row["peak_mib"] / 1024:.1f} GiB')
    if 'data_wait' in row:
        words.append(f'waited for data {row["data_wait"]:.1%} of the time')
    return ', '.join(words)


def line(cells: list[str]) -> str:
    """A line of a Markdown table."""
    return '| ' + ' | '.join(
        str(cell).replace('|', '/') for cell in cells) + ' |'


def markdown(rows: list[dict]) -> str:
    """The tables of all rows."""
    machines = {json.dumps(row['machine'], sort_keys=True): row['machine']
                for row in rows}
    text = [', '.join(f'{key} {value}' for key, value in machine.items())
            for machine in machines.values()]
    steps = [row for row in rows if row['part'] == 'step']
    if steps:
        text += ['', STEP, '|---' * STEP.count(' | ') + '|---|',
                 *(line(step_cells(row)) for row in steps)]
    for row in steps:
        if 'dense' in row:
            ratio = row['dense']['seconds'] / row['ours']['seconds']
            memory = row['ours']['peak_mib'] / row['dense']['peak_mib']
            text += ['', f'Against the dense step ({row["name"]}): '
                     f'{ratio:.2f}x as fast, {memory:.2f}x the memory.']
    others = [row for row in rows if row['part'] != 'step']
    if others:
        text += ['', '| | | |', '|---|---|---|', *(
            line([row['part'], row['name'], result_of(row)])
            for row in others)]
    return '\n'.join(text) + '\n'


def write_tables(folder: Path, rows: list[dict]) -> None:
    """Write ``report.md`` and ``report.json``."""
    (folder / 'report.md').write_text(markdown(rows))
    (folder / 'report.json').write_text(json.dumps(rows, indent=1))
