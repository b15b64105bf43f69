"""Predict time and memory of the training step on a GPU, without one.

The step runs at its real shapes on tensors without data (FakeTensorMode), and
every operation that would launch a kernel is counted: its launches, the bytes
that it reads and writes, and its floating point operations. A roofline turns
them into a time for a named card: the longest of memory traffic, arithmetic
and launch, one operation after the other. All times are predicted, from peaks
of data sheets times the shares of them in ``EFFICIENCY``; ratios between two
predictions are safer than either.

    python tools/benchmarks/trace_step.py                   # ViT-S/16, H100
    python tools/benchmarks/trace_step.py --arch base --batch 128 --compile
    python tools/benchmarks/trace_step.py --card a100 --views 1 5 --json
"""

import argparse
import json
import math
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

sys.path.insert(0, str(Path(__file__).parent))


class Card(NamedTuple):
    """Peaks of a GPU, from its data sheet, without sparsity.

    Attributes:
        bandwidth: Bytes per second.
        half: FLOP/s in bfloat16 (float16 where there is none).
        tf32: FLOP/s of float32 matrix products in TF32.
        single: FLOP/s in float32.
        memory: Bytes.
    """

    bandwidth: float
    half: float
    tf32: float
    single: float
    memory: float


CARDS = {
    'h200': Card(4.8e12, 989e12, 494e12, 67e12, 141e9),
    'h100': Card(3.35e12, 989e12, 494e12, 67e12, 80e9),
    'a100': Card(2.04e12, 312e12, 156e12, 19.5e12, 80e9),
    'v100': Card(0.9e12, 125e12, 15.7e12, 15.7e12, 32e9),
    'rtx4090': Card(1.01e12, 165e12, 82.6e12, 82.6e12, 24e9),
}
# Shares of the peaks that kernels of this size are assumed to reach.
EFFICIENCY = dict(bandwidth=0.78, matrix=0.57, single=0.75, attention=0.22,
                  short_attention=0.11)
LAUNCH = 2.2e-6  # seconds a kernel takes at least
CONFIGS = {
    'small': 'vit-small-p16_16xb64-multicrop-800e',
    'base': 'vit-base-p16_16xb64-multicrop-400e',
    'large': 'vit-large-p16_16xb64-multicrop-250e',
    'swin-tiny': 'swin-tiny-w7_16xb64-multicrop-300e',
}


@dataclass
class Cost:
    """Cost of operations; of several, their sum.

    Attributes:
        kernels: Launches.
        bytes: Read and written.
        flops: Of matrix products, convolutions and attention.
        seconds: Predicted.
    """

    kernels: int = 0
    bytes: float = 0.
    flops: float = 0.
    seconds: float = 0.

    def add(self, other: 'Cost') -> None:
        """Add another cost."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) +
                    getattr(other, field.name))


def roofline(card: Card, kernels: int, traffic: float, flops: float = 0.,
             peak: float = 1.) -> Cost:
    """Cost of kernels that move ``traffic`` bytes and compute ``flops``.

    Args:
        card: The GPU.
        kernels: Launches.
        traffic: Bytes.
        flops: FLOPs.
        peak: FLOP/s that they reach.
    """
    return Cost(kernels, traffic, flops, max(
        flops / peak, traffic / (EFFICIENCY['bandwidth'] * card.bandwidth),
        LAUNCH * kernels))


def num_bytes(tensor: Tensor) -> int:
    """Bytes that a tensor takes in memory; expanded dimensions count once."""
    count = math.prod(size for size, stride in zip(
        tensor.shape, tensor.stride()) if stride)
    return count * tensor.element_size()


def matrix_flops(name: str, ins: list[Tensor], outs: list[Tensor]) -> float:
    """FLOPs of a matrix product or convolution; 0 for other operations."""
    if name in ('mm', 'bmm'):
        return 2. * outs[0].numel() * ins[0].shape[-1]
    if name == 'addmm':
        return 2. * outs[0].numel() * ins[1].shape[-1]
    if name == 'convolution':
        return 2. * outs[0].numel() * ins[1][0].numel()
    if name == 'convolution_backward':  # the images need no gradient
        return 2. * ins[0].numel() * ins[2][0].numel()
    return 0.


def foreach_launches(lists: int, tensors: list[Tensor]) -> int:
    """Launches of a ``_foreach`` operation on ``lists`` lists of tensors.

    PyTorch's multi_tensor_apply takes a limited number of tensors and 320
    chunks of 65,536 values per launch.
    """
    limit = {1: 110, 2: 64, 3: 48, 4: 36}.get(lists, 30)
    chunks = sum(math.ceil(t.numel() / 65536) for t in tensors)
    return max(math.ceil(len(tensors) / limit), math.ceil(chunks / 320))


def cost_of(name: str, ins: list[Tensor], outs: list[Tensor], args: Any,
            card: Card, tf32: bool) -> Cost:
    """Cost of one operation.

    Args:
        name: Name of the operation in ``torch.ops.aten``.
        ins: Tensors that it reads.
        outs: Tensors that it writes.
        args: Its positional arguments.
        card: The GPU.
        tf32: Whether float32 matrix products run in TF32.
    """
    traffic, kernels = float(sum(map(num_bytes, ins + outs))), 1
    flops = matrix_flops(name, ins, outs)
    single = ins and ins[-1].dtype == torch.float32
    peak = EFFICIENCY['matrix'] * card.half
    if single:
        peak = (EFFICIENCY['matrix'] * card.tf32 if tf32 else
                EFFICIENCY['single'] * card.single)
    if 'attention' in name:
        # (B, heads, N, D): two products forward, five backward.
        query = next(t for t in ins if t.dim() == 4)
        backward = 'backward' in name
        flops = (10. if backward else 4.) * query.numel() * query.shape[2]
        kernels, traffic = ((3, 12.) if backward else (1, 4.))
        traffic *= num_bytes(query)
        peak = card.half * EFFICIENCY[
            'attention' if query.shape[2] > 100 else 'short_attention']
    elif name in ('select_backward', 'slice_backward'):  # zeros, then a copy
        kernels, traffic = 2, 2. * num_bytes(ins[0]) + num_bytes(outs[0])
    elif name == 'native_layer_norm_backward':  # and the weight's gradient
        kernels, traffic = 2, traffic + sum(map(num_bytes, ins[:2]))
    elif name.startswith(('_foreach', '_fused_adam')):
        lists = [a for a in args if isinstance(a, (list, tuple)) and a
                 and isinstance(a[0], Tensor)]
        kernels = foreach_launches(len(lists), list(lists[0]))
        if name == '_foreach_mul_':
            scalars = len(lists) > 1 and not lists[1][0].dim()
            # A list of scalar tensors has no fused kernel.
            kernels = len(lists[0]) if scalars else kernels
    return roofline(card, kernels, traffic, flops, peak)


class Trace(TorchDispatchMode):
    """Counts what runs in its context, which must be fake.

    Args:
        card: The GPU to predict.
        tf32: Whether float32 matrix products run in TF32.

    Attributes:
        phase: Name of what runs now, but for the teacher and backward passes,
            which are recognized.
        costs: By phase and operation.
        peak_bytes: Most bytes that were alive at once.
    """

    def __init__(self, card: Card, tf32: bool = True) -> None:
        super().__init__()
        self.card, self.tf32 = card, tf32
        self.phase = ''
        self.costs: dict[tuple[str, str], Cost] = defaultdict(Cost)
        self.peak_bytes = self._alive = 0
        self._known = weakref.WeakSet()

    def _current_phase(self) -> str:
        if torch._C._current_graph_task_id() != -1:
            return 'backward'
        if self.phase == 'forward':
            return 'student' if torch.is_grad_enabled() else 'teacher'
        return self.phase

    def _count_memory(self, tensor: Tensor) -> None:
        """Count the storage of a tensor until it is freed."""
        storage = tensor.untyped_storage()
        if storage not in self._known:
            self._known.add(storage)
            size = storage.nbytes()
            self._alive += size
            self.peak_bytes = max(self.peak_bytes, self._alive)
            weakref.finalize(storage, self._free, size)

    def _free(self, size: int) -> None:
        self._alive -= size

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        """Count an operation and run it."""
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        read = {k: v for k, v in kwargs.items() if k != 'out'}
        ins, outs = ([t for t in tree_leaves(tree) if isinstance(t, Tensor)]
                     for tree in ((args, read), result))
        for tensor in outs:
            self._count_memory(tensor)
        name = func._schema.name.split('::')[1]
        held = {t.untyped_storage()._cdata for t in ins}
        is_view = not func._schema.is_mutable and outs and all(
            t.untyped_storage()._cdata in held for t in outs)
        if is_view or 'empty' in name or func.namespace in (
                'prim', 'profiler'):
            return result
        cost = cost_of(name, ins, outs, args, self.card, self.tf32)
        self.costs[self._current_phase(), name].add(cost)
        return result

    def total(self, phase: str = '', operation: str = '') -> Cost:
        """Sum of the costs, of one phase or operation if given."""
        total = Cost()
        for (its_phase, its_operation), cost in self.costs.items():
            if phase in ('', its_phase) and operation in ('', its_operation):
                total.add(cost)
        return total


@contextmanager
def running(trace: Trace, phase: str) -> Iterator[None]:
    """Name what runs in the context."""
    trace.phase = phase
    with trace:
        yield


class BlockCall(NamedTuple):
    """A call of a transformer block.

    Attributes:
        block: The block.
        args: Its arguments, (shape, dtype) for tensors.
        training: Whether gradients are on.
    """

    block: nn.Module
    args: tuple
    training: bool


def fuse_blocks(calls: Iterable[BlockCall], context: Callable,
                trace: Trace) -> None:
    """Replace the costs of eager blocks by those of compiled ones.

    Args:
        calls: Of the step.
        context: Of the forward pass.
        trace: Has counted the blocks in eager mode.
    """
    from fused_cost import compiled_cost
    known: dict[tuple, tuple[Cost, Cost]] = {}
    for block, args, training in calls:
        if (args, training) not in known:
            values = tuple(torch.empty(a[0], dtype=a[1])
                           if isinstance(a, tuple) else a for a in args)
            values[0].requires_grad_(training)
            eager = Trace(trace.card, trace.tf32)
            with torch.set_grad_enabled(training):
                with context(), running(eager, 'forward'):
                    out = block(*values)
                if training:
                    with running(eager, 'backward'):
                        out.backward(torch.empty_like(out))
            with context():
                compiled = compiled_cost(block, values, training, trace.card,
                                         trace.tf32)
            known[args, training] = eager.total(), compiled
        eager_cost, compiled = known[args, training]
        trace.costs['compiled', 'blocks, compiled'].add(compiled)
        trace.costs['compiled', 'blocks, no longer eager'].add(
            Cost(*(-value for value in vars(eager_cost).values())))


def trace_step(cfg, batch_size: int, dtype: str, trace: Trace,
               compiled: bool = False) -> nn.Module:
    """Run one training step of a config without data.

    Args:
        cfg: Config of a pre-training.
        batch_size: Images per GPU.
        dtype: Of the forward pass, as ``optim_wrapper.dtype``.
        trace: Counts the step.
        compiled: Whether to predict compiled blocks (of ViTs).

    Returns:
        The model.
    """
    from mmengine.registry import MODELS
    from step import make_batch

    from ibot_mm.engine import PretrainOptimWrapperConstructor
    batch = make_batch(cfg, batch_size)
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with FakeCopyMode(mode):  # not built on fake tensors: Swin reads numbers
        model = deepcopy(MODELS.build(cfg.model)).train()
    with mode:
        settings = {k: v for k, v in cfg.optim_wrapper.items()
                    if k not in ('constructor', 'accumulative_counts')}
        settings['optimizer'] = dict(settings['optimizer'], fused=True)
        wrapper = PretrainOptimWrapperConstructor(
            dict(settings, dtype=dtype, skip_nonfinite=False))(model)
        batch = tree_map_only(Tensor, mode.from_tensor, batch)
        calls: list[BlockCall] = []

        def note(block: nn.Module, args: tuple) -> None:
            # Without data: a reference would keep the activations alive.
            calls.append(BlockCall(block, tuple(
                (a.shape, a.dtype) if isinstance(a, Tensor) else a
                for a in args), torch.is_grad_enabled()))

        handles = [
            block.register_forward_pre_hook(note) for block in
            (*model.backbone.blocks, *model.teacher.backbone.blocks)]
        with running(trace, 'preprocessing'):
            inputs = model.data_preprocessor(batch)['inputs']
        with running(trace, 'forward'), wrapper.optim_context(model):
            losses = model.loss(inputs)
        with running(trace, 'backward'):
            sum(losses.values()).backward()
        wrapper.optimizer.step()  # the first creates its state
        with running(trace, 'optimizer'):
            wrapper._clip_grad()
            wrapper.optimizer.step()
        with running(trace, 'teacher update'):
            model.update_teacher(0.996)
            model.head.update_centers()
        for handle in handles:
            handle.remove()
        if compiled:
            fuse_blocks(calls, partial(wrapper.optim_context, model), trace)
    return model


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=CONFIGS, default='small')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--card', choices=CARDS, default='h100')
    parser.add_argument('--dtype', default='bfloat16',
                        choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--no-tf32', action='store_true',
                        help='float32 matrix products in full precision')
    parser.add_argument(
        '--views', type=int, nargs=2, metavar=('GLOBAL', 'LOCAL'),
        help='views per pass of the student; default: all at once')
    parser.add_argument('--compile', action='store_true',
                        help='predict the blocks of a ViT as torch.compile '
                        'would fuse them')
    parser.add_argument('--prototypes', type=int, default=8192)
    parser.add_argument('--json', action='store_true')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> tuple[Trace, dict[str, Any]]:
    """Trace a step; returns the trace and what ``--json`` prints."""
    from mmengine.config import Config
    from mmengine.registry import init_default_scope

    import ibot_mm
    cfg = Config.fromfile(ibot_mm.config_path(
        f'ibot/ibot_{CONFIGS[args.arch]}_in1k.py'))
    init_default_scope('mmpretrain')
    cfg.model.views_per_pass = args.views
    cfg.model.compile_blocks = None
    cfg.model.neck.num_prototypes = args.prototypes
    cfg.model.head.num_prototypes = args.prototypes
    card = CARDS[args.card]
    trace = Trace(card, not args.no_tf32)
    model = trace_step(cfg, args.batch, args.dtype, trace, args.compile)
    total = trace.total()
    return trace, dict(
        arch=args.arch, batch=args.batch, card=args.card, dtype=args.dtype,
        views_per_pass=args.views, prototypes=args.prototypes,
        compiled=args.compile,
        parameters=sum(p.numel() for p in model.student_parameters()),
        kernels=total.kernels,
        gigabytes=total.bytes / 1e9,
        teraflop=total.flops / 1e12,
        predicted_ms=total.seconds * 1e3,
        images_per_second=args.batch / total.seconds,
        utilization=total.flops / total.seconds / card.half,
        activation_gib=trace.peak_bytes / 2**30)  # of eager blocks


def main() -> None:
    """Predict and print."""
    args = parse_args()
    if args.compile and args.arch not in ('small', 'base', 'large'):
        raise SystemExit('--compile predicts ViTs only.')
    trace, result = predict(args)
    if args.json:
        print(json.dumps(result))
        return
    for key in ('phase', 'operation'):
        print(f'\n{key:48}{"kernels":>9}{"GB":>9}{"TFLOP":>9}'
              f'{"predicted ms":>14}')
        names = {pair[key == 'operation'] for pair in trace.costs}
        sums = {name: trace.total(**{key: name}) for name in names}
        for name, cost in sorted(sums.items(),
                                 key=lambda item: -item[1].seconds):
            print(f'{name:48}{cost.kernels:9d}{cost.bytes / 1e9:9.2f}'
                  f'{cost.flops / 1e12:9.3f}{cost.seconds * 1e3:14.2f}')
    print('\npredicted, not measured')
    for name, value in result.items():
        print(f'  {name:24}'
              f'{f"{value:.4g}" if isinstance(value, float) else value}')


if __name__ == '__main__':
    main()
