"""Measure training on one GPU and write the tables of docs/benchmarks_gpu.md.

Every row is a separate command with a time limit. What fails becomes a row
with its reason. Rows are written to ``rows.jsonl`` as they are measured, and
the next call continues there, so that the report can be made in parts. Use
``gpu_report.sh``, which also installs packages from a folder of wheels.

    bash tools/benchmarks/gpu_report.sh
    bash tools/benchmarks/gpu_report.sh --device cpu --tiny
"""

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from gpu_report_rows import PARTS, Row, plan
from gpu_report_tables import write_tables

ROOT = Path(__file__).parents[2]
GRACE = 20.  # seconds from SIGTERM to SIGKILL
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
    """Card, driver and versions, read in a separate process.

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
    commit = ['git', 'rev-parse', '--short', 'HEAD']
    driver = ['nvidia-smi', '--query-gpu=driver_version',
              '--format=csv,noheader']
    for name, command in (('commit', commit), ('driver', driver)):
        if shutil.which(command[0]):
            status, output = run(command, 30, device)
            found[name] = 'unknown' if status else output.split()[0]
    return dict(found, cpus=len(os.sched_getaffinity(0)),
                date=time.strftime('%Y-%m-%d', time.gmtime()))


def main() -> None:
    """Measure the rows that are missing, and write the tables."""
    args, start = parse_args(), time.monotonic()
    # Apart, or a rehearsal would pass for the measurement.
    part = 'rehearsal' if args.tiny else '.'
    args.out = args.out.joinpath(part).resolve()
    args.scratch = args.scratch.joinpath(part).resolve()
    for folder in (args.out, args.scratch):
        folder.mkdir(parents=True, exist_ok=True)
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
