"""Peak memory and time of a ViT with feature maps, forward and backward.

Memory is the peak during a step minus the memory of the model and the images:
activations, gradients and workspace. On a CPU it is the resident memory of the
process (Linux); on a GPU the memory allocated by PyTorch. Time is the median
over steps after a warm-up step. Each is measured in a separate process per
case. As in detection, the backbone returns maps of four layers without the
final norm and uses drop path.

    python tools/benchmarks/backbone_memory.py --arch small --size 512
    python tools/benchmarks/backbone_memory.py --arch small base large \
        --size 512 1024 --batch 2 --dtype bfloat16 --device cuda
"""

import argparse
import itertools
import multiprocessing
import os
import platform
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

MIB = 2**20
# glibc settings: returning all freed memory makes the peak that of live
# memory, keeping all of it is fastest.
ALLOCATOR = dict(
    memory=dict(MALLOC_MMAP_THRESHOLD_='65536'),
    time=dict(MALLOC_MMAP_MAX_='0', MALLOC_TRIM_THRESHOLD_='100000000000'))
CP = dict(off=False, on=True)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', nargs='+', default=['small'],
                        choices=['tiny', 'small', 'base', 'large'])
    parser.add_argument('--size', nargs='+', type=int, default=[512],
                        help='sizes of the square images')
    parser.add_argument('--with-cp', nargs='+', default=['off', 'on'],
                        choices=list(CP), help='activation checkpointing')
    parser.add_argument('--batch', type=int, default=1)
    parser.add_argument('--patch-size', type=int, default=16)
    parser.add_argument('--dtype', default='float32',
                        choices=['float32', 'bfloat16', 'float16'],
                        help='dtype of the forward pass')
    parser.add_argument('--steps', type=int, default=3, help='timed steps')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--device', choices=['cpu', 'cuda'])
    return parser.parse_args()


def _status(key: str) -> float:
    """A size in MiB from the ``/proc`` status of this process."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith(f'{key}:'):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f'/proc/self/status has no {key}.')


class Memory:
    """Peak memory in MiB relative to the time of construction.

    Args:
        device: 'cpu' or 'cuda'.
    """

    def __init__(self, device: str) -> None:
        self.device = device
        if device == 'cuda':
            import torch
            torch.cuda.reset_peak_memory_stats()
            self.start = torch.cuda.memory_allocated() / MIB
        else:
            # Resets the kernel's peak (VmHWM) to the resident memory.
            Path('/proc/self/clear_refs').write_text('5')
            self.start = _status('VmRSS')

    def added(self) -> float:
        """Peak since the start minus the memory at the start."""
        if self.device == 'cuda':
            import torch
            return torch.cuda.max_memory_allocated() / MIB - self.start
        return _status('VmHWM') - self.start


def build(arch: str, with_cp: bool, patch_size: int):
    """Build a backbone that returns maps of four layers."""
    from ibot_mm.models import IBOTViT
    layers = 24 if arch == 'large' else 12
    return IBOTViT(
        arch,
        patch_size=patch_size,
        out_type='featmap',
        out_indices=[layers // 4 * (i + 1) - 1 for i in range(4)],
        out_with_norm=False,
        drop_path_rate=0.1,
        with_cp=with_cp).train()


class Case:
    """Model and images of a case.

    Args:
        args: Command line arguments.
        arch: Architecture of the ViT.
        size: Size of the square images in pixels.
        with_cp: Whether to use activation checkpointing.
    """

    def __init__(self, args: argparse.Namespace, arch: str, size: int,
                 with_cp: bool) -> None:
        import torch
        if args.threads:
            torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        self.torch, self.args = torch, args
        self.model = build(arch, with_cp, args.patch_size).to(args.device)
        self.images = torch.randn(
            args.batch, 3, size, size, device=args.device)

    def precision(self) -> AbstractContextManager:
        """Autocast to the requested dtype."""
        if self.args.dtype == 'float32':
            return nullcontext()
        return self.torch.autocast(self.args.device,
                                   getattr(self.torch, self.args.dtype))

    def step(self) -> float:
        """Time of forward and backward in seconds."""
        self.model.zero_grad(set_to_none=True)
        start = time.perf_counter()
        with self.precision():
            loss = sum(out.float().mean() for out in self.model(self.images))
        loss.backward()
        if self.args.device == 'cuda':
            self.torch.cuda.synchronize()
        return time.perf_counter() - start


def measure(what: str, args: argparse.Namespace, *case) -> float:
    """Peak MiB ('memory') or median seconds ('time') of a case."""
    case = Case(args, *case)
    if what == 'memory':
        memory = Memory(args.device)
        case.step()
        return memory.added()
    case.step()
    return statistics.median(case.step() for _ in range(args.steps))


def in_own_process(what: str, *arguments) -> float:
    """Run :func:`measure` in a new process with its allocator settings."""
    context = multiprocessing.get_context('spawn')
    before = dict(os.environ)
    os.environ.update(ALLOCATOR[what])
    try:
        with ProcessPoolExecutor(1, mp_context=context) as pool:
            return pool.submit(measure, what, *arguments).result()
    finally:
        for name in set(os.environ) - set(before):
            del os.environ[name]
        os.environ.update(before)


def run_case(*arguments) -> str:
    """The two table cells of a case."""
    try:
        mib = in_own_process('memory', *arguments)
        seconds = in_own_process('time', *arguments)
    except BrokenProcessPool:
        return 'killed by the system | |'
    except RuntimeError as error:
        if 'out of memory' not in str(error):
            raise
        return 'out of memory | |'
    return f'{mib:,.0f} | {seconds:.2f} |'


def device_name(device: str) -> str:
    """Name of the device that is measured."""
    if device == 'cuda':
        import torch
        return torch.cuda.get_device_name()
    models = [line.split(':')[1].strip()
              for line in Path('/proc/cpuinfo').read_text().splitlines()
              if line.startswith('model name')]
    name = models[0] if models else platform.machine()
    return f'{len(os.sched_getaffinity(0))} cores of {name}'


def default_device() -> str:
    """'cuda' if there is a GPU, otherwise 'cpu'."""
    import torch

    from ibot_mm.distributed.device import require_usable_gpu
    require_usable_gpu()
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def main() -> None:
    """Measure all cases and print the table."""
    args = parse_args()
    args.device = args.device or default_device()
    if args.device == 'cpu' and not Path('/proc/self/clear_refs').exists():
        raise SystemExit('Measuring memory on a CPU requires Linux.')
    threads = args.threads or os.environ.get('OMP_NUM_THREADS')
    print(f'{device_name(args.device)}'
          + (f', threads: {threads}' if threads else '')
          + f'; batch {args.batch}, {args.dtype}\n')
    print('| ViT | image | checkpointing | memory, MiB | seconds |')
    print('|---|---|---|---|---|')
    for arch, size, cp in itertools.product(args.arch, args.size,
                                            args.with_cp):
        cells = run_case(args, arch, size, CP[cp])
        print(f'| {arch}/{args.patch_size} | {size} x {size} | {cp} | {cells}',
              flush=True)


if __name__ == '__main__':
    main()
