"""Compare time and memory of our training step with a dense implementation.

Each variant runs in a separate process, so its peak memory is that of its
step alone. Steps are timed alternately on the same random crops and masks and
include forward, backward, optimizer, teacher and centers. The dense step
(``dense_step.py``) computes the losses as the official code does; the losses
of both must agree before anything is timed.

    python tools/benchmarks/step.py                       # ViT-S/16, batch 8
    python tools/benchmarks/step.py CONFIG --batch 64 --dtype bfloat16
    python tools/benchmarks/step.py CONFIG --compile --peak-tflops 989
"""

import argparse
import multiprocessing
import os
import platform
import resource
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
DEFAULT = 'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'
MIB = 2**20


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', nargs='?', help=f'default: {DEFAULT}')
    parser.add_argument('--batch', type=int, default=8)
    parser.add_argument(
        '--dtype',
        default='float32',
        choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--steps', type=int, default=5, help='timed steps')
    parser.add_argument('--warmup', type=int, default=1)
    parser.add_argument('--variants', nargs='+', default=['dense', 'ours'],
                        choices=['dense', 'ours'])
    parser.add_argument('--compile', action='store_true',
                        help='compile the transformer blocks of "ours"')
    parser.add_argument('--threads', type=int, help='CPU threads')
    parser.add_argument('--device', choices=['cpu', 'cuda'])
    parser.add_argument(
        '--peak-tflops', type=float,
        help='peak of the device in this precision without sparsity (e.g. '
        '989 for bfloat16 on an H100 or H200), to report utilization')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE',
        help='override config settings')
    return parser.parse_args()


class Step:
    """Model, optimizer and batch of a variant."""

    def __init__(self, args: argparse.Namespace, variant: str) -> None:
        import torch
        from mmengine.config import Config, DictAction
        from mmengine.logging import MMLogger
        from mmengine.registry import MODELS, init_default_scope

        import ibot_mm
        from ibot_mm.engine import PretrainOptimWrapperConstructor
        MMLogger.get_instance('mmengine', log_level='ERROR')
        if args.threads:
            torch.set_num_threads(args.threads)
        torch.manual_seed(0)
        self.device = args.device or (
            'cuda' if torch.cuda.is_available() else 'cpu')
        cfg = Config.fromfile(args.config or ibot_mm.config_path(DEFAULT))
        options = parse_options(DictAction, args.cfg_options)
        cfg.merge_from_dict(options)
        init_default_scope('mmpretrain')
        if args.compile and variant == 'ours':
            cfg.model.compile_blocks = dict()
        self.cfg, self.torch = cfg, torch
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(self.device).train()
        wrapper = {k: v for k, v in cfg.optim_wrapper.items()
                   if k not in ('constructor', 'accumulative_counts')}
        self.wrapper = PretrainOptimWrapperConstructor(
            dict(wrapper, dtype=args.dtype))(self.model)
        self.batch = make_batch(cfg, args.batch)
        self.momentum = cfg.default_hooks.teacher_ema.momentum
        if variant == 'dense':
            from dense_step import dense_loss
            self.model.loss = partial(_without_samples, dense_loss,
                                      self.model)

    def synchronize(self) -> None:
        """Wait for the device to finish."""
        if self.device == 'cuda':
            self.torch.cuda.synchronize()

    def losses(self) -> dict[str, float]:
        """Losses of the batch in eval mode."""
        with self.torch.no_grad(), self.wrapper.optim_context(self.model):
            data = self.model.data_preprocessor(self.batch)
            self.model.eval()
            losses = self.model.loss(data['inputs'])
            self.model.train()
        self.model.head.discard_centers()
        self.model.head.center.value.zero_()
        self.model.head.patch_center.value.zero_()
        return {name: float(value) for name, value in losses.items()}

    def run(self) -> float:
        """Time of a step in seconds."""
        self.synchronize()
        start = time.perf_counter()
        self.model.train_step(self.batch, self.wrapper)
        self.model.update_teacher(self.momentum)
        self.model.head.update_centers()
        self.synchronize()
        return time.perf_counter() - start

    def peak(self) -> float:
        """Peak memory of the device (or the process, on CPUs) in MiB."""
        if self.device == 'cuda':
            return self.torch.cuda.max_memory_allocated() / MIB
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def parts(self) -> dict[str, float]:
        """Seconds per part of a step, synchronized after each part."""
        with timed_parts(self) as seconds:
            total = self.run()
        seconds['everything else'] = total - sum(seconds.values())
        return dict(seconds)

    def flops(self) -> float:
        """FLOPs of the matrix products of a step, counted by PyTorch.

        Runs eagerly and with the math attention kernel: the counter supports
        neither compiled code nor all fused attention kernels.
        """
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
        self.torch.compiler.set_stance('force_eager')
        with FlopCounterMode(display=False) as counter, sdpa_kernel(
                SDPBackend.MATH):
            self.run()
        return float(counter.get_total_flops())


def parse_options(action, options: list[str]) -> dict:
    """Parse KEY=VALUE pairs as MMEngine's command lines do."""
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=action)
    arguments = ['--cfg-options', *options] if options else []
    return parser.parse_args(arguments).cfg_options or {}


def _without_samples(function: Callable, model, inputs, data_samples=None):
    return function(model, inputs)


def make_batch(cfg, size: int) -> dict:
    """Random crops and drawn masks with the shapes of the config."""
    import random

    import numpy as np
    from mmengine.registry import TRANSFORMS

    from ibot_mm.datasets import multi_crop_collate
    crops, masks = (TRANSFORMS.build(step) for step in
                    cfg.train_dataloader.dataset.pipeline[-2:])
    channels = cfg.model.backbone.get('in_channels', 3)
    rng = np.random.default_rng(0)
    samples = []
    for i in range(size):
        sample = dict(rng=random.Random(i), epoch=10**6)
        for key in ('global_crops', 'local_crops'):
            sample[key] = [
                rng.integers(0, 256, (*view.size, channels), dtype=np.uint8)
                for view in getattr(crops, key) for _ in range(view.num)
            ]
        samples.append(masks.transform(sample))
    return multi_crop_collate(samples)


@contextmanager
def timed_parts(step: Step) -> Iterator[dict[str, float]]:
    """Time the parts of the steps that run in the block."""
    from ibot_mm.models.algorithms.pass_accumulator import PassAccumulator
    seconds: dict[str, float] = defaultdict(float)
    model, wrapper = step.model, step.wrapper
    restore = []

    def wrap(owner, attribute: str, name: Callable) -> None:
        function = getattr(owner, attribute)
        own = attribute in vars(owner)

        def timed(*args, **kwargs):
            step.synchronize()
            start = time.perf_counter()
            result = function(*args, **kwargs)
            step.synchronize()
            seconds[name(*args)] += time.perf_counter() - start
            return result

        setattr(owner, attribute, timed)
        restore.append(
            lambda: setattr(owner, attribute, function)
            if own else delattr(owner, attribute))

    largest = step.batch['inputs'].global_views[0].crops.shape[-1]
    student, teacher = model.backbone, model.teacher
    for method in ('extract_tokens', 'extract_cls'):
        wrap(student, method, lambda x, *_: 'student backbone, '
             + ('global' if x.shape[-1] == largest else 'local'))
    wrap(teacher.backbone, 'extract_tokens', lambda *_: 'teacher backbone')
    wrap(model.neck, 'forward', lambda *_: 'student neck')
    for method in ('project', 'logits'):
        wrap(teacher.neck, method, lambda *_: 'teacher neck')
    wrap(model.head, 'loss', lambda *_: 'loss')  # not in the dense step
    wrap(PassAccumulator, '_differentiate',
         lambda *_: 'backward, first passes')
    wrap(wrapper, 'backward', lambda *_: 'backward')
    wrap(wrapper, 'step', lambda *_: 'clipping and optimizer')
    wrap(model, 'update_teacher', lambda *_: 'teacher update')
    try:
        yield seconds
    finally:
        for undo in reversed(restore):
            undo()


def serve(args: argparse.Namespace, variant: str, pipe) -> None:
    """Serve method calls on a variant over a pipe."""
    step = Step(args, variant)
    pipe.send(dict(device=step.device, peak=step.peak()))
    while True:
        name = pipe.recv()
        if name is None:
            return
        pipe.send(getattr(step, name)())


class Worker:
    """Proxy of a variant in a separate process."""

    def __init__(self, args: argparse.Namespace, variant: str) -> None:
        context = multiprocessing.get_context('spawn')
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=serve, args=(args, variant, theirs), daemon=True)
        self.process.start()
        theirs.close()
        self.start = self.pipe.recv()

    def __call__(self, name: str):
        """Call a method of the variant and return its result."""
        self.pipe.send(name)
        return self.pipe.recv()

    def stop(self) -> None:
        """End the process and free its memory."""
        self.pipe.send(None)
        self.process.join()


def can_count_flops() -> bool:
    """Whether this PyTorch can force eager mode to count FLOPs."""
    import torch
    return hasattr(torch.compiler, 'set_stance')


def device_name(device: str) -> str:
    """Name of the device that is measured."""
    if device == 'cuda':
        import torch
        return torch.cuda.get_device_name()
    cpu = [line.split(':')[1].strip() for line in
           Path('/proc/cpuinfo').read_text().splitlines()
           if line.startswith('model name')] if Path(
               '/proc/cpuinfo').exists() else [platform.processor()]
    return f'{len(os.sched_getaffinity(0))} cores of {cpu[0]}'


def report(args: argparse.Namespace, results: dict[str, dict]) -> None:
    """Print the tables."""
    names = list(results)
    print(f'\n{"":28}' + ''.join(f'{n:>12}' for n in names))

    def row(label: str, values: list[str]) -> None:
        print(f'{label:28}' + ''.join(f'{v:>12}' for v in values))

    row('seconds per step', [f'{r["seconds"]:.3f}' for r in results.values()])
    row('  fastest, slowest', [f'{min(r["all"]):.3f} {max(r["all"]):.3f}'
                               for r in results.values()])
    row('images per second', [f'{args.batch / r["seconds"]:.2f}'
                              for r in results.values()])
    row('peak memory, MiB', [f'{r["peak"]:.0f}' for r in results.values()])
    row('  before the first step', [f'{r["idle"]:.0f}'
                                    for r in results.values()])
    if args.peak_tflops:
        row('TFLOP per step', [f'{r["flops"] / 1e12:.2f}'
                               for r in results.values()])
        # For both variants, counts only the FLOPs that our step needs.
        useful = min(r['flops'] for r in results.values())
        row('model FLOP utilization', [
            f'{useful / r["seconds"] / args.peak_tflops / 1e12:.1%}'
            for r in results.values()])
    parts = dict.fromkeys(p for r in results.values() for p in r['parts'])
    print('\nseconds per part of a step')
    for part in parts:
        row('  ' + part, [f'{r["parts"][part]:.3f}' if part in r['parts']
                          else 'in the rest' for r in results.values()])
    if {'dense', 'ours'} <= set(results):
        dense, ours = results['dense'], results['ours']
        # Ratios of neighboring steps, because the machine's speed drifts.
        ratio = statistics.median(
            d / o for d, o in zip(dense['all'], ours['all']))
        print(f'\nours is {ratio:.2f}x as fast (median over pairs of steps) '
              f'and takes {ours["peak"] / dense["peak"]:.2f}x the memory')


def measure(args: argparse.Namespace, workers: dict[str, Worker]
            ) -> dict[str, dict]:
    """Time all variants alternately.

    Raises:
        SystemExit: The losses of the variants differ.
    """
    losses = {name: worker('losses') for name, worker in workers.items()}
    print('losses: ' + '; '.join(
        f'{name} ' + ', '.join(f'{v:.4f}' for v in values.values())
        for name, values in losses.items()))
    tolerance = 1e-3 if args.dtype == 'float32' else 3e-2
    first = next(iter(losses.values()))
    for name, values in losses.items():
        if any(abs(values[k] - v) > tolerance * abs(v)
               for k, v in first.items()):
            raise SystemExit(f'the losses of "{name}" differ: {losses}')
    seconds: dict[str, list[float]] = {name: [] for name in workers}
    for turn in range(args.warmup + args.steps):
        for name, worker in workers.items():
            taken = worker('run')
            if turn >= args.warmup:
                seconds[name].append(taken)
    results = {}
    for name, worker in workers.items():
        results[name] = dict(
            all=seconds[name],
            seconds=statistics.median(seconds[name]),
            idle=worker.start['peak'],
            peak=worker('peak'),
            parts=worker('parts'),
            flops=worker('flops') if args.peak_tflops else 0.)
    return results


def main() -> None:
    """Measure and report."""
    args = parse_args()
    if args.peak_tflops and not can_count_flops():
        raise SystemExit('--peak-tflops needs PyTorch 2.6 or later.')
    # Otherwise glibc returns and remaps memory at every step, which takes up
    # to a third of the time and increases the variance.
    os.environ.setdefault('MALLOC_MMAP_MAX_', '0')
    os.environ.setdefault('MALLOC_TRIM_THRESHOLD_', '100000000000')
    workers = {name: Worker(args, name) for name in args.variants}
    device = next(iter(workers.values())).start['device']
    print(f'{device_name(device)}; {Path(args.config or DEFAULT).stem}, batch '
          f'{args.batch}, {args.dtype}{", compiled" if args.compile else ""};'
          f' median of {args.steps} steps after {args.warmup}')
    report(args, measure(args, workers))
    for worker in workers.values():
        worker.stop()


if __name__ == '__main__':
    main()
