"""Predicted cost of a module that ``torch.compile`` has fused."""

from collections import defaultdict
from collections.abc import Callable

import torch
from cards import Card
from functorch.compile import (
    aot_function,
    make_boxed_func,
    min_cut_rematerialization_partition,
)
from roofline import Cost, cost_of, num_bytes, roofline
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_leaves


def _tensors(value) -> list[Tensor]:
    return [t for t in tree_leaves(value) if isinstance(t, Tensor)]


def _name(node: fx.Node) -> str:
    return getattr(node.target, '_opname', str(node.target))


def _is_view(node: fx.Node, inputs: list[fx.Node]) -> bool:
    def storages(node: fx.Node) -> set[int]:
        return {t.untyped_storage()._cdata
                for t in _tensors(node.meta['val'])}
    return 'getitem' in _name(node) or (
        storages(node) <= set().union(*map(storages, inputs)))


def _stands_alone(node: fx.Node) -> bool:
    """Whether a node is a separate kernel: products, sums over tokens."""
    name = _name(node)
    if name == 'sum' and len(node.args) > 1:
        dims = node.args[0].meta['val'].dim()
        return dims - 1 not in [d % dims for d in node.args[1]]
    return 'attention' in name or name in ('mm', 'bmm', 'addmm')


def graph_cost(graph: fx.Graph, card: Card, tf32: bool = True) -> Cost:
    """Cost of a graph whose elementwise chains are fused.

    Between two products, neighboring elementwise operations and norms are one
    kernel, which reads its inputs and writes what others need once. The
    gradient of a norm's weight reads its inputs again.

    Args:
        graph: ATen operations, with tensors in ``meta['val']``.
        card: The GPU.
        tf32: Whether float32 matrix products run in TF32.
    """
    source: dict[fx.Node, fx.Node] = {}  # of views
    level: dict[fx.Node, int] = {}  # products on the longest way to a node
    kernel: dict[fx.Node, int] = {}
    total = Cost()
    for node in graph.nodes:
        inputs = [source[n] for n in node.all_input_nodes]
        source[node] = node
        level[node] = max((level[n] for n in inputs), default=0)
        if node.op != 'call_function':
            continue
        if inputs and _is_view(node, inputs):
            source[node] = inputs[0]
        elif _stands_alone(node):
            level[node] += 1
            total.add(cost_of(_name(node), [
                t for n in node.all_input_nodes
                for t in _tensors(n.meta['val'])],
                _tensors(node.meta['val']), node.args, card, tf32))
        else:
            kernel[node] = len(kernel)
            joined = {kernel[n] for n in inputs
                      if n in kernel and level[n] == level[node]}
            for n, number in kernel.items():
                if number in joined:
                    kernel[n] = kernel[node]
    reads, writes = defaultdict(set), defaultdict(set)
    again = defaultdict(float)
    for node in graph.nodes:
        inputs = {source[n] for n in node.all_input_nodes}
        if source[node] is not node:
            continue
        for n in inputs:
            if kernel.get(n) != kernel.get(node):
                reads[kernel.get(node)].add(n)
                writes[kernel.get(n)].add(n)
        if _name(node) == 'native_layer_norm_backward':
            again[kernel[node]] += sum(
                num_bytes(n.meta['val']) for n in node.args[:2])
    for number in set(kernel.values()):
        traffic = sum(num_bytes(_tensors(n.meta['val'])[0])
                      for n in reads[number] | writes[number])
        total.add(roofline(card, 1 + (number in again),
                           traffic + again[number]))
    return total


def compiled_cost(module: nn.Module, args: tuple, training: bool,
                  card: Card, tf32: bool = True) -> Cost:
    """Cost of a call of a module, and of its backward pass in training.

    PyTorch's own partitioner decides what is recomputed in the backward pass.

    Args:
        module: On fake tensors.
        args: Its arguments.
        training: Whether there is a backward pass.
        card: The GPU.
        tf32: Whether float32 matrix products run in TF32.
    """
    total = Cost()

    def count(graph: fx.GraphModule, _) -> Callable:
        total.add(graph_cost(graph.graph, card, tf32))
        return make_boxed_func(graph.forward)

    parameters = dict(module.named_parameters())

    def call(parameters: dict[str, Tensor], *tensors) -> Tensor:
        rest = iter(tensors)
        return torch.func.functional_call(module, parameters, tuple(
            next(rest) if isinstance(a, Tensor) else a for a in args))

    with torch.set_grad_enabled(training):
        out = aot_function(
            call, count, count,
            partition_fn=min_cut_rematerialization_partition)(
                parameters, *_tensors(args))
    if training:
        with torch.autocast('cpu', enabled=False):
            out.backward(torch.empty_like(out))
    return total
