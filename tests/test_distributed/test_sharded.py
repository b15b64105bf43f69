"""Sharded over two processes: the steps of distributed data parallelism."""

import errno
from functools import partial

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
import torch.nn.functional as F
from mmengine.device import get_device
from mmengine.model import MMDistributedDataParallel

from ibot_mm.distributed.dtensor import (
    full_tensor,
    is_sharded,
    shard_like,
    to_local,
)
from ibot_mm.distributed.gathered_copy import GatheredCopy
from ibot_mm.distributed.sharded_strategy import (
    ShardedStrategy,
    _write,
    shard_model,
)
from ibot_mm.engine import PretrainOptimWrapperConstructor
from tests.helpers.builders import batch, build_model

needs_fully_shard = pytest.mark.skipif(
    not hasattr(torch.distributed.fsdp, 'fully_shard'),
    reason='this PyTorch has no fully_shard')

STEPS, FROZEN, ACCUMULATION = 8, 4, 2
HALVES = dict(dtype='bfloat16')
# What differs, by case: model, optimizer wrapper, sharding, and how far apart
# losses, weights and states may be. The bound of the last case is for weights
# that are rounded before they are sent.
QUICK = dict(
    plain=({}, {}, {}, 1e-5),
    gathered_in_bfloat16=({}, HALVES, dict(param_dtype=torch.bfloat16), 1e-2),
)
MORE = dict(
    recomputed=(dict(backbone=dict(with_cp=True)), {}, {}, 1e-5),
    kept=({}, {}, dict(reshard_after_forward=False), 1e-5),
    unshared=(dict(neck=dict(shared_head=False)), {}, {}, 1e-5),
    compiled=(dict(compile_blocks=dict(backend='eager')), {}, {}, 1e-5),
    bfloat16=({}, HALVES, {}, 2e-3),
    float16=({}, dict(dtype='float16', loss_scale=1024.), {}, 2e-3),
)


def layer_norm(module, x):
    """What autocast makes of a layer norm on GPUs, but not on CPUs."""
    return F.layer_norm(x.float(), module.normalized_shape,
                        module.weight.float(), module.bias.float(),
                        module.eps)


def build(model_changes, wrapper_changes):
    """Active clipping, and AdamW that does not amplify rounding."""
    changes = dict(model_changes)
    changes['backbone'] = dict(
        drop_path_rate=0.3, **changes.get('backbone', {}))
    model = build_model(**changes).train()
    for module in model.modules():
        if isinstance(module, torch.nn.LayerNorm) and get_device() == 'cpu':
            module.forward = partial(layer_norm, module)
    wrapper = PretrainOptimWrapperConstructor(
        dict(
            optimizer=dict(type='AdamW', lr=0.01, eps=1e-3),
            clip_grad=dict(type='per_parameter', max_norm=0.02),
            accumulative_counts=ACCUMULATION,
            allow_tf32=False,
            **wrapper_changes))
    return model, wrapper


def train(model, inner, wrapper, rank):
    """What each of the steps logs, and the full state after them."""
    logged = []
    for i in range(STEPS):
        torch.manual_seed(10 * i + rank)
        wrapper.freeze_last_layer = i < FROZEN
        wrapper.param_groups[0]['weight_decay'] = 0.1 * i
        losses = model.train_step(batch(4, seed=10 * i + rank), wrapper)
        logged.append(losses['loss'].detach())
        if wrapper.stepped:
            inner.update_teacher(0.9)
            inner.head.update_centers()
            logged.append(wrapper.grad_norm)
    state = {k: full_tensor(v).cpu() for k, v in inner.state_dict().items()}
    moments = {
        f'{i} {name}': full_tensor(value).cpu()
        for i, values in wrapper.state_dict()['state'].items()
        for name, value in values.items()
    }
    return torch.stack(logged).cpu(), state, moments


def both_ways(rank, model_changes, wrapper_changes, sharding):
    """The same training without and with sharding."""
    model, construct = build(model_changes, wrapper_changes)
    model.to(get_device())
    wrapper = construct(model)
    expected = train(
        MMDistributedDataParallel(
            model, broadcast_buffers=False), model, wrapper, rank)

    model, construct = build(model_changes, wrapper_changes)
    copy = GatheredCopy(model, 'teacher.')
    total = sum(p.numel() for p in model.parameters())
    model.accumulate_passes = False
    shard_model(model, **{
        **dict(param_dtype=None, reshard_after_forward=True),
        **sharding
    })
    wrapper = construct(model)
    wrapper.keep_casts = False
    found = train(model, model, wrapper, rank)
    assert all(map(is_sharded, model.parameters()))
    with copy.filled(model) as reader:
        # Processes may call it a different number of times.
        features = [
            reader.extract_feat(
                torch.ones(1, 3, 32, 32, device=get_device())).cpu()
            for _ in range(1 + rank)
        ]
    mine = sum(p.numel() for p in to_local(model.parameters()))
    assert all(p.is_meta for p in copy.model.parameters())
    return dict(
        expected=expected, found=found, features=features[0], total=total,
        mine=mine)


def bad_gradient(rank):
    """Whether a non-finite gradient on one process changes no weights."""
    model, construct = build({}, {})
    model.accumulate_passes = False
    shard_model(model, None, True)
    wrapper = construct(model)
    model.train_step(batch(4), wrapper)  # the first of two
    clip, parameter = wrapper._clip_grad, model.backbone.layers[0].ln1.weight

    def spoil():
        if rank == 0:
            to_local([parameter.grad])[0].fill_(float('nan'))
        clip()

    wrapper._clip_grad = spoil
    before = [p.clone() for p in to_local(model.parameters())]
    model.train_step(batch(4), wrapper)
    return all(map(torch.equal, before, to_local(model.parameters())))


def _worker(rank, folder, cases, processes):
    torch.set_num_threads(1)
    if get_device() == 'cuda':
        torch.cuda.set_device(rank)
        # TensorFloat-32 would round differently for other batches.
        torch.backends.cudnn.allow_tf32 = False
    dist.init_process_group(
        'nccl' if get_device() == 'cuda' else 'gloo',
        f'file://{folder}/meet', rank=rank, world_size=processes)
    results = {name: both_ways(rank, *case[:3])
               for name, case in cases.items()}
    results['unmoved'] = bad_gradient(rank)
    # Three rows over two processes.
    rows = torch.arange(6.).reshape(3, 2)
    mesh = dist.device_mesh.init_device_mesh(get_device(), (processes, ))
    like = dist.tensor.distribute_tensor(rows, mesh, [dist.tensor.Shard(0)])
    results['rows'] = shard_like(rows + 1, like).to_local().cpu()
    torch.save(results, f'{folder}/{rank}.pt')
    dist.destroy_process_group()


def run(folder, cases, processes=2):
    mp.spawn(_worker, (str(folder), cases, processes), nprocs=processes)
    return [torch.load(folder / f'{rank}.pt') for rank in range(processes)]


@pytest.fixture(scope='module')
def results(tmp_path_factory):
    return run(tmp_path_factory.mktemp('ranks'), QUICK)


@pytest.fixture(scope='module')
def more(tmp_path_factory):
    return run(tmp_path_factory.mktemp('ranks'), MORE)


def check(results, case, tolerance):
    for result in results:
        (losses, *expected), (found, *others) = (result[case]['expected'],
                                                 result[case]['found'])
        assert found.isfinite().all()
        torch.testing.assert_close(found, losses, rtol=tolerance, atol=0)
        for wanted, given in zip(expected, others):
            assert list(given) == list(wanted)
            for name, value in wanted.items():
                torch.testing.assert_close(
                    given[name], value, atol=tolerance, rtol=tolerance,
                    msg=lambda m, n=name: f'{n}: {m}')
    # Ranks see different images; their weights are equal.
    (first, state, _), *others = (r[case]['found'] for r in results)
    for second, other, _ in others:
        assert not torch.equal(first, second)
        for name, value in state.items():
            assert torch.equal(other[name], value), name


@needs_fully_shard
@pytest.mark.parametrize('case', list(QUICK))
def test_steps_are_those_of_data_parallelism(results, case):
    check(results, case, QUICK[case][-1])


@needs_fully_shard
@pytest.mark.slow
@pytest.mark.parametrize('case', list(MORE))
def test_steps_with_options(more, case):
    check(more, case, MORE[case][-1])


@needs_fully_shard
@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('case', list(QUICK))
def test_steps_on_all_gpus(tmp_path, case):
    """With a single one nothing is exchanged, and everything called."""
    found = run(tmp_path, {case: QUICK[case]}, torch.cuda.device_count())
    check(found, case, max(QUICK[case][-1], 1e-4))


@needs_fully_shard
def test_each_process_holds_its_share(results):
    shares = [result['plain']['mine'] for result in results]
    total = results[0]['plain']['total']
    assert sum(shares) == total
    # One row more or less of each parameter, and those of one row.
    assert abs(shares[0] - shares[1]) < 0.1 * total
    assert [r['rows'].tolist() for r in results] == [[[1, 2], [3, 4]],
                                                     [[5, 6]]]


@needs_fully_shard
def test_a_non_finite_gradient_changes_nothing(results):
    assert [result['unmoved'] for result in results] == [True, True]


@needs_fully_shard
def test_features_of_the_gathered_copy(results):
    case = results[0]['plain']
    model = build_model(backbone=dict(drop_path_rate=0.3)).eval()
    model.load_state_dict(case['found'][1])
    with torch.no_grad():
        expected = model.extract_feat(torch.ones(1, 3, 32, 32))
    torch.testing.assert_close(case['features'], expected)


def test_one_process_is_an_error():
    with pytest.raises(RuntimeError, match='ShardedStrategy'):
        ShardedStrategy(env_kwargs=dict(launcher='none'))


@needs_fully_shard
def test_backward_passes_in_the_forward_pass_are_an_error():
    strategy = ShardedStrategy.__new__(ShardedStrategy)
    with pytest.raises(ValueError, match='model.accumulate_passes=False'):
        strategy._wrap_model(build_model())


@needs_fully_shard
def test_param_dtype_is_checked():
    with pytest.raises(ValueError, match="param_dtype.*'half'"):
        ShardedStrategy(param_dtype='half')


def test_a_full_disk_is_an_os_error(tmp_path):
    """Which the checkpoint hook handles."""
    (tmp_path / 'a.pth.incomplete').symlink_to('/dev/full')
    with pytest.raises(OSError) as caught:
        _write(dict(a=torch.zeros(10**6)), str(tmp_path / 'a.pth'))
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(tmp_path / 'a.pth')
    assert not list(tmp_path.iterdir())
