"""Measure training on one GPU and write the tables of docs/benchmarks_gpu.md.

Every row is a command of its own with a time limit. What fails becomes a row
with its reason. Rows are written to ``rows.jsonl`` as they are measured, and
the next call continues there, so that the report can be made in parts. Use
``gpu_report.sh``, which also installs packages from a folder of wheels.

    bash tools/benchmarks/gpu_report.sh --out gpu_report
    bash tools/benchmarks/gpu_report.sh --out rehearsal --device cpu --tiny
"""

import argparse
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gpu_report_configs import write_configs
from gpu_report_tables import write_tables

ROOT = Path(__file__).parents[2]
PARTS = ('tests', 'step', 'loader', 'train', 'dense')
GRACE = 20.  # seconds from SIGTERM to SIGKILL
TINY = {'--steps': 1, '--rounds': 1, '--warmup': 1}
# Arguments of step.py, the most telling ones first.
STEPS = [
    dict(arch='small', batch=64, views='none'),
    dict(arch='small', batch=256, views='none'),
    dict(arch='base', batch=64, views='none'),
    dict(arch='large', batch=64, views='none'),
    dict(arch='small', batch=64, views='none', compile=True),
    dict(arch='small', batch=64, views='1,5'),
    dict(arch='small', batch=128, views='none', sdpa='flash'),
    dict(arch='small', batch=128, views='none', sdpa='cudnn'),
    dict(arch='small', batch=64, views='none', prototypes=65536),
    dict(arch='small', batch=64, views='none', dtype='float16'),
    dict(arch='small', batch=64, views='none', dtype='float32', tf32=True),
    dict(arch='small', batch=64, views='none', dtype='float32'),
    dict(arch='small', batch=128, views='none'),
    dict(arch='small', batch=256, views='none', compile=True),
    dict(arch='base', batch=128, views='none'),
    dict(arch='base', batch=128, views='none', compile=True),
    dict(arch='base', batch=256, views='none'),
    dict(arch='base', batch=256, views='1,5'),
    dict(arch='large', batch=64, views='none', compile=True),
    dict(arch='large', batch=128, views='1,5'),
    dict(arch='large', batch=256, views='1,5'),
    dict(arch='small', batch=64, views='1,5', dense=True),
]
TINY_STEPS = [
    dict(batch=2, views='none'),
    dict(batch=2, views='1,5', prototypes=40, dtype='float32', dense=True),
    dict(batch=2, views='none', sdpa='cudnn'),  # fails on a CPU
]


ENVIRONMENT = '''
import json, platform, torch
from ibot_mm.distributed.device import require_usable_gpu
require_usable_gpu()
found = dict(torch=torch.__version__, cuda=torch.version.cuda,
             python=platform.python_version())
if torch.cuda.is_available():
    card = torch.cuda.get_device_properties(0)
    found.update(card=card.name, memory_gib=round(card.total_memory / 2**30),
                 cudnn=torch.backends.cudnn.version())
print(json.dumps(found))
'''


class Row(NamedTuple):
    """A measurement: its command, its limit and how to read the result."""

    part: str
    name: str
    command: list
    seconds: int
    read: Callable[[str], dict]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--out', type=Path, default=Path('gpu_report'))
    parser.add_argument('--parts', nargs='+', default=PARTS, choices=PARTS)
    parser.add_argument('--minutes', type=float, default=9.,
                        help='start no row after this time')
    parser.add_argument('--device', default='cuda', choices=['cpu', 'cuda'])
    parser.add_argument('--tiny', action='store_true',
                        help='tiny networks and few steps, to rehearse')
    parser.add_argument('--scratch', type=Path, help='folder of data and runs',
                        default=Path(tempfile.gettempdir(), 'gpu_report'))
    return parser.parse_args()


def python(script: str, *args) -> list:
    """Command line of a script of ``tools/``."""
    return [sys.executable, str(ROOT / 'tools' / script), *map(str, args)]


def step_rows(args: argparse.Namespace, config: Path) -> list[Row]:
    """Rows of ``step.py``."""
    result = args.scratch / 'step.json'
    rows = []
    for case in TINY_STEPS if args.tiny else STEPS:
        options = [str(config)] if args.tiny else []
        for name, value in case.items():
            options += [f'--{name}'] + ([] if value is True else [str(value)])
        for name, value in (TINY if args.tiny else {}).items():
            options += [name, str(value)]
        rows.append(Row(
            'step', ' '.join(f'{k}={v}' for k, v in case.items()),
            python('benchmarks/step.py', *options, '--device', args.device,
                   '--json', result),
            300 if 'compile' in case else 150,
            lambda _: json.loads(result.read_text())))
    return rows


def read_tests(output: str) -> dict:
    """Numbers of passed and failed tests, and the names of the latter."""
    ends = re.findall(r'(\d+) (passed|failed|skipped|error)', output)
    if not ends:
        raise ValueError('pytest printed no result')
    return dict({kind: int(number) for number, kind in ends},
                failures=re.findall(r'^(?:FAILED|ERROR) (\S+)', output, re.M))


def read_run(work_dir: Path, batch: int) -> dict:
    """Rates of the last logged iterations of a run."""
    log = max(work_dir.glob('*/vis_data/scalars.json'))
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    lines = [line for line in lines if 'loss' in line]
    later = lines[1:] or lines  # the first interval holds the start
    seconds = statistics.median(line['time'] for line in later)
    found = dict(iterations=lines[-1]['step'], seconds=seconds,
                 images_per_second=batch / seconds, loss=lines[-1]['loss'],
                 peak_mib=lines[-1].get('memory'))
    waits = [line['data_wait'] for line in later if 'data_wait' in line]
    return dict(found, data_wait=statistics.median(waits)) if waits else found


def training_row(args: argparse.Namespace, part: str, name: str, config: Path,
                 batch: int, *options, launcher: tuple = ()) -> Row:
    """Row of a run of ``tools/train.py``."""
    work_dir = args.scratch / f'{name}'.replace(' ', '_')
    command = python('train.py', config, '--work-dir', work_dir,
                     '--fresh-start', '--no-validate', *options)
    return Row(part, name, [command[0], *launcher, *command[1:]], 240,
               lambda _: read_run(work_dir, batch))


def build_rows() -> list[Row]:
    """The compilation of mmcv, if ``WHEELS`` holds its source."""
    found = [*Path(os.environ.get('WHEELS') or '/nowhere').glob(
        '*mmcv-*.tar.gz')]
    command = ['env', 'MMCV_WITH_OPS=1', f'MAX_JOBS={os.cpu_count()}',
               sys.executable, '-m', 'pip', 'install', '--quiet',
               '--no-index', '--no-deps', '--no-build-isolation', '--upgrade',
               '--target', os.environ.get('SITE', ''), *found]
    return [Row('dense', 'compile mmcv', command, 500,
                lambda _: {})] if found else []


def plan(args: argparse.Namespace) -> list[Row]:
    """All rows of the report, in the order of their measurement."""
    configs = write_configs(args.scratch, args.tiny)
    loader, workers = args.scratch / 'loader.json', (
        (1, 2) if args.tiny else (8, 12, 16))
    rows = [Row('tests', 'pytest -m cuda', [
        sys.executable, '-m', 'pytest', '-q', '-m', 'cuda', '-p',
        'no:cacheprovider', '--continue-on-collection-errors'
    ], 400, read_tests)]
    rows += step_rows(args, configs['pretrain'].path)
    rows += [Row(
        'loader', f'{n} workers',
        python('benchmarks/loader.py', configs['pretrain'].path, '--workers',
               n, '--seconds', 1 if args.tiny else 8, '--json', loader), 90,
        lambda _, n=n: dict(
            images_per_second=json.loads(loader.read_text())[str(n)]))
        for n in workers]
    run = configs['pretrain']
    torchrun = ('-m', 'torch.distributed.run', '--standalone',
                '--nproc_per_node', '1')
    rows += [
        training_row(args, 'train', 'ViT-S', run.path, run.batch),
        training_row(args, 'train', 'ViT-S, DDP of one process', run.path,
                     run.batch, '--launcher', 'pytorch', launcher=torchrun)]
    rows += build_rows()
    rows += [training_row(args, 'dense', name, configs[name].path,
                          configs[name].batch)
             for name in ('Mask R-CNN', 'UperNet')]
    return [row for row in rows if row.part in args.parts]


def reason_of(output: str) -> str:
    """The line of an output that says why the command failed."""
    if 'out of memory' in output:
        return 'out of memory'
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if re.match(r'[\w.]*Error\b', line)]
    return (errors or lines or ['no output'])[-1][:200]


def run(command: list, seconds: float, device: str) -> tuple[int | None, str]:
    """Exit code (None: out of time) and output of a command."""
    hidden = dict(CUDA_VISIBLE_DEVICES='') if device == 'cpu' else {}
    process = subprocess.Popen(
        list(map(str, command)), cwd=ROOT, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, **hidden}, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
        return process.returncode, output
    except subprocess.TimeoutExpired:
        process.terminate()  # torchrun then ends its processes
    try:
        return None, process.communicate(timeout=GRACE)[0]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        return None, process.communicate()[0]


def measure(row: Row, seconds: float, args: argparse.Namespace) -> dict:
    """Measure a row; its values, or the reason why there are none."""
    start = time.monotonic()
    code, output = run(row.command, min(row.seconds, seconds), args.device)
    found = dict(part=row.part, name=row.name,
                 wall_seconds=round(time.monotonic() - start, 1))
    with (args.out / 'log.txt').open('a') as log:
        log.write(f'\n==> {row.part}: {row.name}\n{output[-20_000:]}\n')
    if code is None:
        return dict(found, reason=f'not done after {row.seconds} s')
    try:
        # Failed tests are a result.
        if code and row.part != 'tests':
            return dict(found, reason=reason_of(output))
        return dict(found, **row.read(output))
    except (OSError, ValueError, LookupError) as error:
        return dict(found, reason=f'no result: {error}; {reason_of(output)}')


def environment(device: str) -> dict:
    """Card, driver and versions, read in a process of its own.

    Raises:
        SystemExit: There is no GPU.
    """
    status, output = run([sys.executable, '-c', ENVIRONMENT], 120, device)
    if status:
        raise SystemExit(reason_of(output))
    found = json.loads(output.splitlines()[-1])
    if device == 'cuda' and 'card' not in found:
        raise SystemExit('there is no GPU here: --device cpu --tiny rehearses '
                         'the report.')
    driver = ['nvidia-smi', '--query-gpu=driver_version',
              '--format=csv,noheader']
    commit = ['git', 'rev-parse', '--short', 'HEAD']
    for name, command in (('driver', driver), ('commit', commit)):
        try:
            found[name] = run(command, 30, device)[1].split()[0]
        except (OSError, IndexError):
            pass  # there is no such command, or it says nothing
    return dict(found, cpus=len(os.sched_getaffinity(0)),
                date=time.strftime('%Y-%m-%d', time.gmtime()))


def main() -> None:
    """Measure the rows that are missing, and write the tables."""
    args, start = parse_args(), time.monotonic()
    for folder in (args.out, args.scratch):
        folder.mkdir(parents=True, exist_ok=True)
    args.out, args.scratch = args.out.resolve(), args.scratch.resolve()
    machine = environment(args.device)
    store = args.out / 'rows.jsonl'
    rows = [json.loads(line) for line in store.read_text().splitlines()
            ] if store.exists() else []
    planned = plan(args)
    for row in planned:
        if any((r['part'], r['name']) == row[:2] for r in rows):
            continue
        left = 60 * args.minutes - (time.monotonic() - start)
        if left < min(30, row.seconds):
            break
        print(f'{row.part}: {row.name} ... ', end='', flush=True)
        found = measure(row, left, args)
        if 'not done' in found.get('reason', '') and left < row.seconds:
            print('no time left')
            break
        print(found.get('reason', f'{found["wall_seconds"]} s'), flush=True)
        rows.append(dict(found, machine=machine))
        with store.open('a') as file:
            file.write(json.dumps(rows[-1]) + '\n')
        write_tables(args.out, rows)
    done = sum((r['part'], r['name']) in {row[:2] for row in planned}
               for r in rows)
    print(f'{done} of {len(planned)} rows are in {args.out}'
          + ('' if done == len(planned) else
             ': run the same command again for the rest'))


if __name__ == '__main__':
    main()
