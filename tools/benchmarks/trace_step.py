"""Predict time and memory of the training step on a GPU, without one.

The step runs at its real shapes on tensors without data (FakeTensorMode), and
every operation that would launch a kernel is counted: its launches, the bytes
that it reads and writes, and its floating point operations. ``roofline.py``
turns them into a time for a named card, one operation after the other. All
times are predicted; ratios of two of them are safer than either.

    python tools/benchmarks/trace_step.py                   # ViT-S/16, H100
    python tools/benchmarks/trace_step.py --arch base --batch 128 --compile
    python tools/benchmarks/trace_step.py --card A100 --views 1 5 --json
"""

import argparse
import json
import sys
import weakref
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeCopyMode, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map_only

from ibot_mm import config_path
from ibot_mm.engine import PretrainOptimWrapperConstructor
from ibot_mm.models.layers.pos_embed import resize_matrix

sys.path.insert(0, str(Path(__file__).parent))
from cards import CARDS, Card
from fused_cost import compiled_cost
from roofline import Cost, cost_of
from training_step import RECIPES, make_batch

CONFIGS = dict(
    RECIPES,
    **{'swin-tiny': 'ibot/ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py'})


class Trace(TorchDispatchMode):
    """Counts what runs in its context, which must be fake.

    Args:
        card: The GPU to predict.
        tf32: Whether float32 matrix products run in TF32.

    Attributes:
        phase: Name of what runs now, but for the backward passes, which are
            recognized.
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


def as_teacher(trace: Trace, targets: Callable, views: Any) -> Any:
    """Call ``teacher_targets`` in a phase of its own."""
    before, trace.phase = trace.phase, 'teacher'
    result = targets(views)
    trace.phase = before
    return result


class Call(NamedTuple):
    """A call of a part that is compiled.

    Attributes:
        part: A transformer block or a loss.
        args: Its arguments, (shape, dtype) for tensors.
        training: Whether gradients are on.
    """

    part: nn.Module
    args: tuple
    training: bool


def fuse_parts(calls: Iterable[Call], context: Callable,
               trace: Trace) -> None:
    """Replace the costs of eager parts by those of compiled ones.

    Args:
        calls: Of the step.
        context: Of the forward pass.
        trace: Has counted the parts in eager mode.
    """
    known: dict[tuple, tuple[Cost, Cost]] = {}
    for part, args, training in calls:
        key = type(part), str(args), training
        if key not in known:
            values = tuple(torch.empty(a[0], dtype=a[1])
                           if isinstance(a, tuple) else a for a in args)
            values[0].requires_grad_(training)
            eager = Trace(trace.card, trace.tf32)
            with torch.set_grad_enabled(training):
                with context(), running(eager, 'student'):
                    out = part(*values)
                if training:
                    with running(eager, 'backward'):
                        out.backward(torch.empty_like(out))
            with context():
                compiled = compiled_cost(part, values, training, trace.card,
                                         trace.tf32)
            known[key] = eager.total(), compiled
        eager_cost, compiled = known[key]
        trace.costs['compiled', 'compiled parts'].add(compiled)
        trace.costs['compiled', 'no longer eager'].add(
            Cost(*(-value for value in vars(eager_cost).values())))


def trace_step(cfg, batch_size: int, dtype: str, trace: Trace,
               compiled: bool = False) -> nn.Module:
    """Run one training step of a config without data.

    Args:
        cfg: Config of a pre-training.
        batch_size: Images per GPU.
        dtype: Of the forward pass, as ``optim_wrapper.dtype``.
        trace: Counts the step.
        compiled: Whether to predict compiled blocks (of ViTs) and losses.

    Returns:
        The model.
    """
    batch = make_batch(cfg, batch_size, False)
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
        model.teacher_targets = partial(as_teacher, trace,
                                        model.teacher_targets)
        calls: list[Call] = []

        def note(part: nn.Module, args: tuple) -> None:
            # Without data: a reference would keep the activations alive.
            calls.append(Call(part, tuple(
                (a.shape, a.dtype) if isinstance(a, Tensor) else a
                for a in args), torch.is_grad_enabled()))

        handles = [
            part.register_forward_pre_hook(note) for part in
            (*model.backbone.blocks, *model.teacher.backbone.blocks,
             model.head.cls_loss, model.head.patch_loss)]
        with running(trace, 'preprocessing'):
            inputs = model.data_preprocessor(batch)['inputs']
        with running(trace, 'student'), wrapper.optim_context(model):
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
            fuse_parts(calls, partial(wrapper.optim_context, model), trace)
    resize_matrix.cache_clear()  # it has no data
    return model


def parse_args(argv: list[str] | None = None) -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--arch', choices=CONFIGS, default='small')
    parser.add_argument('--batch', type=int, default=64)
    parser.add_argument('--card', choices=CARDS, default='H100')
    parser.add_argument('--dtype', default='bfloat16',
                        choices=['float32', 'bfloat16', 'float16'])
    parser.add_argument('--no-tf32', action='store_true',
                        help='float32 matrix products in full precision')
    parser.add_argument(
        '--views', type=int, nargs=2, metavar=('GLOBAL', 'LOCAL'),
        help='views per pass of the student; default: all at once')
    parser.add_argument('--compile', action='store_true',
                        help='predict the blocks of a ViT and the losses as '
                        'torch.compile would fuse them')
    parser.add_argument('--prototypes', type=int, default=8192)
    parser.add_argument('--json', action='store_true')
    return parser.parse_args(argv)


def predict(args: argparse.Namespace) -> tuple[Trace, dict[str, Any]]:
    """Trace a step; returns the trace and what ``--json`` prints."""
    cfg = Config.fromfile(config_path(CONFIGS[args.arch]))
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
