"""Accumulated passes under DistributedDataParallel, in two processes."""

from contextlib import nullcontext
from unittest.mock import patch

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from tests.helpers.builders import batch, build_model
from tests.helpers.processes import run_processes

STEPS = 3


class LossOf(torch.nn.Module):
    """What MMEngine's wrapper calls: the losses of a batch."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, inputs):
        return sum(self.model.loss(inputs).values())


def inputs(rank, step):
    return batch(4, seed=10 * step + rank)['inputs']


def backward_order(rank, folder):
    """Events of the last backward pass, in their order."""
    model = build_model(views_per_pass=(1, 1))
    # PyTorch 2.1 has a first bucket of 1 MiB, whatever the cap.
    with patch.object(dist, '_DEFAULT_FIRST_BUCKET_BYTES', 4096):
        ddp = DistributedDataParallel(LossOf(model), bucket_cap_mb=0.004)
    events = []

    def reduce(_, bucket):
        events.append('bucket')
        return dist.all_reduce(
            bucket.buffer(), async_op=True).get_future().then(
                lambda future: future.value()[0])

    ddp.register_comm_hook(None, reduce)

    def watch(module, args, out):
        out[0].register_hook(lambda grad: events.append('patch embedding'))

    model.backbone.patch_embed.register_forward_hook(watch)
    for parameter in model.student_parameters():
        if parameter.requires_grad:
            parameter.register_post_accumulate_grad_hook(
                lambda _: events.append('parameter'))
    for step in range(STEPS):
        loss = ddp(inputs(rank, step))
        events.clear()
        loss.backward()
    return events


def equal_gradients(rank, settings, accumulation=1):
    """Whether gradients are the means over ranks, computed without DDP."""
    model, plain = build_model(), build_model(accumulate_passes=False)
    ddp = DistributedDataParallel(LossOf(model), **settings)
    for step in range(STEPS):
        model.zero_grad()
        plain.zero_grad()
        for part in range(accumulation):
            data = inputs(rank, accumulation * step + part)
            last = part == accumulation - 1
            with nullcontext() if last else ddp.no_sync():
                ddp(data).backward()
            sum(plain.loss(data).values()).backward()
        for (name, ours), expected in zip(model.named_parameters(),
                                          plain.parameters()):
            assert (ours.grad is None) == (expected.grad is None), name
            if ours.grad is not None:
                dist.all_reduce(expected.grad)
                torch.testing.assert_close(
                    ours.grad, expected.grad / 2, msg=lambda m, name=name:
                    f'{name}: {m}')
    return True


def plain(rank, folder):
    return equal_gradients(rank, {})


def accumulation(rank, folder):
    return equal_gradients(rank, {}, accumulation=2)


def find_unused_parameters(rank, folder):
    return equal_gradients(rank, dict(find_unused_parameters=True))


def gradient_as_bucket_view(rank, folder):
    """As in ``configs/_base_/pretrain_runtime.py``."""
    settings = dict(gradient_as_bucket_view=True)
    return all(equal_gradients(rank, settings, n) for n in (1, 2))


def static_graph(rank, folder):
    return equal_gradients(rank, dict(static_graph=True))


VARIANTS = (plain, accumulation, find_unused_parameters,
            gradient_as_bucket_view, static_graph)


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    return run_processes((backward_order, *VARIANTS),
                         tmp_path_factory.mktemp('ranks'))


def test_communication_overlaps_the_backward_pass(results):
    """Gradients are sent while earlier layers still compute theirs."""
    for events in results['backward_order']:
        last = events.index('patch embedding')
        for kind in ('parameter', 'bucket'):
            assert events[:last].count(kind) > 0.7 * events.count(kind), kind
        assert events.count('bucket') > 5


@pytest.mark.parametrize('variant', [f.__name__ for f in VARIANTS])
def test_gradients_are_means_over_ranks(results, variant):
    assert results[variant] == [True, True]
