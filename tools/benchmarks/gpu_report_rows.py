"""Rows of gpu_report.py: commands, time limits and how to read results."""

import argparse
import json
import os
import re
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from gpu_report_configs import write_configs

ROOT = Path(__file__).parents[2]
PARTS = ('tests', 'step', 'loader', 'train', 'dense')
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
    dict(arch='small', batch=64, views='none', dtype='float32'),
    {'arch': 'small', 'batch': 64, 'views': 'none', 'dtype': 'float32',
     'no-tf32': True},
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


class Row(NamedTuple):
    """A measurement: its command, its limit and how to read the result."""

    part: str
    name: str
    command: list
    seconds: int
    read: Callable[[str], dict]


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
    found = [*Path(os.environ.get('WHEELS') or '/nowhere').resolve().glob(
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
