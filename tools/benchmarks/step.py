"""Throughput, memory and kernels of the training step.

Rounds of steps on one batch are timed, with a synchronization before and after
each round. A step is forward, backward, optimizer, teacher and centers, with
the copy of the batch from pinned memory. With ``--dense`` the dense
implementation (``dense_step.py``), which computes the losses as the official
code does, is timed alternately, in a separate process; the losses of both must
agree first.

    python tools/benchmarks/step.py
    python tools/benchmarks/step.py --arch base --views none --compile
    python tools/benchmarks/step.py --batch 8 --dtype float32 --steps 1 --dense
"""

import argparse
import json
import multiprocessing
import os
import statistics
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

from cards import CARDS

# Label, factor and format of each result.
ROWS = dict(
    seconds=('ms per step', 1e3, '.1f'),
    images_per_second=('images per second', 1, '.1f'),
    peak_mib=('peak memory, MiB', 1, '.0f'),
    idle_mib=('  before the first step', 1, '.0f'),
    kernels=('kernels per step', 1, 'd'),
    kernel_seconds=('ms of kernels', 1e3, '.1f'),
    launch_seconds=('ms to launch a step', 1e3, '.1f'),
    flops=('TFLOP per step', 1e-12, '.3g'),
    mfu=('model FLOP utilization', 1, '.1%'))


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?',
                        help='default: the recipe of --arch')
    parser.add_argument('--arch', default='small',
                        choices=['small', 'base', 'large'])
    parser.add_argument('--batch', type=int, help="default: the config's")
    parser.add_argument('--dtype', help="default: the config's",
                        choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--no-tf32', action='store_true',
                        help='float32 matrix products without TF32')
    parser.add_argument('--views', metavar='GLOBAL,LOCAL',
                        help='views_per_pass, or "none" for all at once')
    parser.add_argument('--prototypes', type=int, metavar='K')
    parser.add_argument('--compile', action='store_true',
                        help='compile the transformer blocks')
    parser.add_argument(
        '--sdpa', choices=['flash', 'cudnn', 'efficient', 'math'],
        help='the only kernel of attention; default: PyTorch chooses')
    parser.add_argument('--dense', action='store_true',
                        help='also time the dense implementation')
    parser.add_argument('--steps', type=int, default=10, help='per round')
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--warmup', type=int, default=5, help='steps')
    parser.add_argument('--device', choices=['cpu', 'cuda'])
    parser.add_argument('--json', type=Path, help='file for the results')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override config settings')
    return parser.parse_args()


_step = None  # the TrainingStep of a child process


def build(args: argparse.Namespace, dense: bool) -> dict:
    """Build the step of a child process; its settings."""
    global _step
    from training_step import TrainingStep
    _step = TrainingStep(args, dense)
    return _step.settings()


def call(name: str, *args):
    """Call a method of the step of a child process."""
    return getattr(_step, name)(*args)


class Child:
    """A step in a separate process, which has its own peak memory."""

    def __init__(self, args: argparse.Namespace, dense: bool) -> None:
        self.pool = ProcessPoolExecutor(
            1, multiprocessing.get_context('spawn'))
        self.settings = self.pool.submit(build, args, dense).result()
        self.idle = self('peak')  # in MiB, before the first step

    def __call__(self, name: str, *args):
        """Call a method of the step and return its result."""
        return self.pool.submit(call, name, *args).result()

    def attempt(self, name: str):
        """The same; None, and the reason printed, if it fails."""
        try:
            return self(name)
        except Exception as error:  # must not cost the times
            print(f'{name}: {type(error).__name__}: {error}')
            return None


def peak_flops(settings: dict) -> float | None:
    """FLOP/s of the device in the precision; None if not known."""
    if settings['dtype'] == 'float32' and not settings['tf32']:
        return None
    card = next((card for name, card in CARDS.items()
                 if name in settings['device']), None)
    if card is None:
        return None
    return card.tf32 if settings['dtype'] == 'float32' else card.half


def require_equal_losses(ours: Child, dense: Child) -> None:
    """Compare the losses of both implementations.

    Raises:
        SystemExit: They differ.
    """
    found, expected = ours('losses'), dense('losses')
    tolerance = 1e-3 if ours.settings['dtype'] == 'float32' else 3e-2
    if any(abs(found[k] - v) > tolerance * abs(v)
           for k, v in expected.items()):
        raise SystemExit(f'the losses differ: {found}, dense: {expected}')
    print('equal losses: ' + ', '.join(f'{v:.4f}' for v in found.values()))


def measure(args: argparse.Namespace,
            children: dict[str, Child]) -> dict[str, dict]:
    """Time all implementations alternately; their results."""
    rounds: dict[str, list[float]] = {name: [] for name in children}
    for child in children.values():
        child('warm_up', args.warmup)
    for _ in range(args.rounds):
        for name, child in children.items():
            rounds[name].append(child('run', args.steps))
    results = {}
    for name, child in children.items():
        seconds, peak = statistics.median(rounds[name]), child('peak')
        result = dict(
            rounds=rounds[name], seconds=seconds, peak_mib=peak,
            idle_mib=child.idle,
            images_per_second=child.settings['batch'] / seconds,
            **(child.attempt('kernels') or {}), flops=child.attempt('flops'))
        limit = peak_flops(child.settings)
        if limit and result['flops']:
            result['mfu'] = result['flops'] / seconds / limit
        results[name] = result
    return results


def report(results: dict[str, dict]) -> None:
    """Print the results."""
    print(f'{"":24}' + ''.join(f'{name:>12}' for name in results))
    for key, (label, factor, form) in ROWS.items():
        values = [result.get(key) for result in results.values()]
        if None not in values:
            print(f'{label:24}' + ''.join(
                f'{value * factor:12{form}}' for value in values))
    for name, result in results.items():
        print(f'{name}, ms per step of the rounds: ' + ', '.join(
            f'{1e3 * seconds:.1f}' for seconds in result['rounds']))
    if 'dense' in results:
        ours, dense = results['ours'], results['dense']
        # Of neighboring rounds, because a machine's speed drifts.
        ratio = statistics.median(
            d / o for d, o in zip(dense['rounds'], ours['rounds']))
        print(f'ours is {ratio:.2f}x as fast (median over pairs of rounds) '
              f'and takes {ours["peak_mib"] / dense["peak_mib"]:.2f}x the '
              'memory')


def main() -> None:
    """Measure and report."""
    args = parse_args()
    # Otherwise glibc returns and remaps memory at every step, which takes up
    # to a third of the time and increases the variance.
    os.environ.setdefault('MALLOC_MMAP_MAX_', '0')
    os.environ.setdefault('MALLOC_TRIM_THRESHOLD_', '100000000000')
    children = dict(ours=Child(args, False))
    if args.dense:
        children['dense'] = Child(args, True)
    settings = dict(children['ours'].settings, sdpa=args.sdpa)
    print('; '.join(f'{key} {value}' for key, value in settings.items()))
    print(f'{args.rounds} rounds of {args.steps} steps, after {args.warmup}')
    if args.dense:
        require_equal_losses(children['ours'], children['dense'])
    results = measure(args, children)
    report(results)
    if args.json:
        args.json.write_text(json.dumps(dict(settings, **results), indent=1))


if __name__ == '__main__':
    main()
