"""Checkpointing, compilation and stochastic depth do not change results."""

import pytest
import torch
from mmengine.utils import digit_version

from ibot_mm.engine.token_statistics import TokenStatistics
from ibot_mm.models import IBOTSwin, MultiCropDataPreprocessor
from ibot_mm.models.layers.drop_path import (
    add_scaled,
    add_subset_residual,
    drop_path_scales,
)
from ibot_mm.structures import CropBatch
from tests.helpers.builders import (
    batch,
    build_model,
    cls_loss,
    needs_cpu_float16,
    wrap,
)

# Older compilers break the graph at a decorator of MMCV's FFN.
FULL_GRAPHS = digit_version(torch.__version__) >= digit_version('2.5')


def gradients(model, seed=3):
    torch.manual_seed(seed)
    losses = model.loss(batch(4)['inputs'])
    sum(losses.values()).backward()
    return losses, {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


def assert_same_step(model, other, **tolerance):
    losses, grads = gradients(model)
    other_losses, other_grads = gradients(other)
    for name, value in losses.items():
        torch.testing.assert_close(other_losses[name], value, **tolerance)
    assert set(grads) == set(other_grads)
    for name, grad in grads.items():
        torch.testing.assert_close(
            other_grads[name], grad, msg=lambda m, n=name: f'{n}: {m}',
            **tolerance)


@pytest.mark.parametrize('drop_path_type', ['image', 'batch'])
def test_activation_checkpointing(drop_path_type):
    """With drop path: the recomputation must draw the same random numbers."""
    settings = dict(drop_path_rate=0.5, drop_path_type=drop_path_type)
    plain = build_model(backbone=settings).train()
    saving = build_model(backbone=dict(settings, with_cp=True)).train()
    calls = []
    saving.backbone.layers[0].ln1.register_forward_hook(
        lambda *args: calls.append(torch.is_grad_enabled()))
    assert_same_step(plain, saving)
    # Global and local crops, each once more in the backward pass.
    assert len(calls) == 4


@pytest.mark.parametrize('settings', [
    dict(drop_path_rate=0.5), dict(drop_path_rate=0.5, with_cp=True),
    dict(drop_path_rate=0.5, drop_path_type='batch'), dict(final_norm=False)
])
def test_extract_cls(settings):
    """Equal to extract_tokens, in training too; fewer rows in the MLP."""
    model = build_model(backbone=settings).double().train().backbone
    x, rows, grads = torch.randn(4, 3, 16, 16).double(), [], []
    model.layers[-1].ffn.register_forward_hook(
        lambda module, args, out: rows.append(out.shape[:-1].numel()))
    for method in (model.extract_cls, lambda x: model.extract_tokens(x)[0]):
        torch.manual_seed(5)
        cls = method(x)
        grads.append([cls, *torch.autograd.grad(
            cls.sin().sum(), list(model.parameters()), allow_unused=True)])
    for alone, full in zip(*grads):
        torch.testing.assert_close(alone, full)
    assert rows[0] < rows[-1]


def test_activation_checkpointing_of_swin():
    x, mask = torch.randn(2, 3, 64, 64), torch.rand(2, 2, 2) < 0.5
    grads = {}
    for with_cp in (False, True):
        torch.manual_seed(0)
        model = IBOTSwin(
            arch=dict(embed_dims=6, depths=[1, 2, 1, 1],
                      num_heads=[1, 1, 2, 2]),
            img_size=64, drop_path_rate=0.5, with_mask_token=True,
            with_cp=with_cp).train()
        calls = []
        model.blocks[1].norm1.register_forward_hook(
            lambda *args, calls=calls: calls.append(1))
        torch.manual_seed(1)
        loss = sum(t.square().mean() for t in model.extract_tokens(x, mask))
        # Before the backward pass, as the passes of the student are.
        grads[with_cp] = torch.autograd.grad(loss, list(model.parameters()),
                                             allow_unused=True)
        assert len(calls) == 1 + with_cp
    for plain, saving in zip(*grads.values()):
        torch.testing.assert_close(saving, plain)


@pytest.mark.parametrize('dtype', [None, torch.bfloat16])
@pytest.mark.parametrize('views', [None, (1, 1), (2, 2), (1, 5)])
def test_passes_of_the_student(dtype, views):
    """Against a single graph, with scaled losses of two micro-batches."""
    settings = dict(neck=dict(shared_head=False), koleo=dict(min_batch=2))
    early = build_model(views_per_pass=views, **settings)
    late = build_model(accumulate_passes=False, **settings)
    for seed in (1, 2):
        losses = []
        for model in (early, late):
            data = batch(4, local_sizes=(16, 16, 8, 16), seed=seed)['inputs']
            with torch.autocast('cpu', dtype=dtype, enabled=dtype is not None):
                logged = model.loss(data)
            losses.append(logged)
            total = sum(v for k, v in logged.items() if 'loss' in k)
            (total * 0.25).backward()
        assert set(losses[0]) == set(losses[1])
        for name, value in losses[0].items():
            torch.testing.assert_close(value, losses[1][name])
    # The single graph adds the contributions of all views in bfloat16.
    tolerance = 1e-5 if dtype is None else 0.03
    for (name, p), q in zip(early.named_parameters(), late.parameters()):
        if q.grad is not None:
            error = (p.grad - q.grad).abs().max() / q.grad.abs().max()
            assert error < tolerance, (name, error)
        else:
            assert p.grad is None


def test_passes_where_memory_is_not_known():
    """'auto' on a CPU: one global view, up to five local ones."""
    model, seen = build_model(views_per_pass='auto'), []
    model.backbone.layers[0].register_forward_hook(
        lambda module, args, out: seen.append(len(out)))
    model.loss(batch(4, local_sizes=(16, ) * 7)['inputs'])
    assert seen == [20, 8, 4, 4]


def test_passes_where_memory_is_known(monkeypatch):
    """'auto' on a GPU: none if 60 % of the free memory suffices."""

    class OnGPU(torch.Tensor):
        is_cuda = True

    model = build_model(views_per_pass='auto')
    data = batch(4, local_sizes=(16, ) * 7)['inputs']
    data = CropBatch(
        [view._replace(crops=view.crops.as_subclass(OnGPU))
         for view in data.global_views], data.local_crops)
    # float32: 2 views of 4 images have 16 patches each; 7 local crops of a
    # quarter of the pixels are less. Two layers of width 24.
    tokens, logits = 2 * 4 * 16, sum(
        len(view.mask_index) + 4 for view in data.global_views)
    needed = (72 * tokens * (24 + 24) + 16 * model.neck.num_prototypes * logits
              + 12 * sum(p.numel() for p in model.student_parameters()))
    for free, expected in ((needed / 0.59, None), (needed / 0.61, (1, 5))):
        monkeypatch.setattr(torch.cuda, 'mem_get_info',
                            lambda device, free=free: (free, 2 * free))
        assert model._fitting_passes(data) == expected


@needs_cpu_float16
def test_no_passes_in_float16():
    """They would save no memory, since nothing is freed in between."""
    model, seen = build_model(views_per_pass=(1, 1)), []
    model.backbone.layers[0].register_forward_hook(
        lambda module, args, out: seen.append(len(out)))
    with torch.autocast('cpu', dtype=torch.float16):
        model.loss(batch(4)['inputs'])
    assert seen == [8, 8]


def test_views_per_pass_is_checked():
    with pytest.raises(ValueError, match='views_per_pass'):
        build_model(views_per_pass=(1, 0))


def graph_nodes(loss):
    """Names of the nodes of a loss's graph."""
    seen, stack = set(), [loss.grad_fn]
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack += [n for n, _ in node.next_functions]
    return [type(node).__name__ for node in seen]


def test_accumulated_passes_free_the_graph_of_the_local_views():
    calls, attention = {}, {}
    for name, settings in (('single', dict(accumulate_passes=False)),
                           ('kinds', dict()),
                           ('views', dict(views_per_pass=(1, 1)))):
        model = build_model(**settings)
        seen = calls[name] = []
        model.backbone.layers[0].register_forward_hook(
            lambda module, args, out, seen=seen: seen.append(len(out)))
        nodes = graph_nodes(cls_loss(model.loss(batch(4)['inputs'])))
        attention[name] = sum('Attention' in node for node in nodes)
    # Two layers: for both kinds of views, for the global ones, for one.
    assert attention == dict(single=4, kinds=2, views=2)
    assert calls == dict(single=[8, 8], kinds=[8, 8], views=[4, 4, 4, 4])


@needs_cpu_float16
def test_float16_keeps_local_gradients_for_the_scaled_backward_pass():
    model = build_model()
    for dtype, early in ((torch.float16, False), (torch.bfloat16, True)):
        with torch.autocast('cpu', dtype=dtype):
            names = graph_nodes(cls_loss(model.loss(batch(4)['inputs'])))
        assert any('AccumulatedGradients' in name for name in names) == early


@pytest.mark.parametrize('backend', [
    'aot_eager',
    pytest.param('inductor', marks=pytest.mark.slow),
])
def test_compiled_blocks(backend):
    """Without a break in the graph, at a drop path too."""
    settings = dict(drop_path_rate=0.1)
    plain = build_model(backbone=settings).eval()
    compiled = build_model(
        backbone=settings,
        compile_blocks=dict(backend=backend, fullgraph=FULL_GRAPHS)).eval()
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    assert_same_step(plain, compiled, atol=1e-5, rtol=1e-4)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] > 0
    assert list(plain.state_dict()) == list(compiled.state_dict())
    losses, _ = gradients(compiled.train())
    assert torch.isfinite(cls_loss(losses))


@pytest.mark.skipif(not FULL_GRAPHS, reason='PyTorch 2.1 breaks graphs')
def test_nothing_is_compiled_after_the_second_step():
    """In one graph per kind of pass, for all layers and drop rates."""
    arch = dict(embed_dims=24, num_layers=4, num_heads=2,
                feedforward_channels=48)
    model = build_model(
        backbone=dict(drop_path_rate=0.3, arch=arch),
        compile_blocks=dict(backend='eager')).train()
    torch._dynamo.reset()
    counters = torch._dynamo.utils.counters
    counters.clear()
    graphs, masked = [], set()
    for seed in range(4):
        data = batch(4, seed=seed)['inputs']
        masked.add(len(data.global_views[0].mask_index))
        sum(model.loss(data).values()).backward()
        graphs.append(counters['stats']['unique_graphs'])
    # Blocks: the first layer, which drops nothing, the others, and the last
    # one of local crops, maybe twice for their sizes; the teacher shares the
    # first. Losses: local, global, patches, whose number varies.
    assert graphs[1] == graphs[2] == graphs[3] <= 6 + 4
    assert len(masked) > 1
    assert not counters['graph_break']


def test_modes_with_cuda_graphs_are_refused():
    with pytest.raises(ValueError, match='reduce-overhead'):
        build_model(compile_blocks=dict(mode='reduce-overhead'))


def test_scaled_residual_in_bfloat16():
    """Against autograd on the same operation."""
    x, branch, scale = torch.randn(4, 5, 6), torch.randn(4, 5, 6), torch.rand(
        4, 1, 1)
    results = []
    for add in (add_scaled, torch.addcmul):
        inputs = (x.clone().requires_grad_(),
                  branch.bfloat16().requires_grad_())
        out = add(*inputs, scale)
        assert out.dtype == torch.float32
        results.append([out, *torch.autograd.grad(out.sin().sum(), inputs)])
    for ours, theirs in zip(*results):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, theirs)


def test_factors_of_dropped_residuals():
    """0 or 1 / p, and 1 on average."""
    keep = torch.tensor([0.8, 0.5]).view(2, 1, 1, 1, 1)
    scales = drop_path_scales(keep, 10000)
    assert scales.shape == (2, 2, 10000, 1, 1)
    for layer, p in zip(scales, (0.8, 0.5)):
        assert set(layer.unique().tolist()) == {
            0., (torch.tensor(1.) / torch.tensor(p)).item()}
        # Five standard errors of sqrt((1 - p) / p / 20000).
        assert layer.mean().item() == pytest.approx(
            1, abs=5 * ((1 - p) / p / 20000)**0.5)


def test_subset_residual_by_hand():
    x = torch.arange(10.).unsqueeze(1)
    seen = []

    def branch(part):
        seen.append(part.flatten().tolist())
        return torch.ones_like(part)

    out = add_subset_residual(x, branch, 0.25)
    # int(10 x 0.75) = 7 images get 10 / 7 each, the other 3 nothing.
    difference = (out - x).flatten()
    assert len(seen[0]) == 7 == len(set(seen[0]))
    for i in range(10):
        expected = 10 / 7 if float(i) in seen[0] else 0.
        assert float(difference[i]) == pytest.approx(expected, abs=1e-5)
    assert len(seen) == 1
    add_subset_residual(x[:1], branch, 0.9)
    assert seen[1] == [0.]


def test_subset_residual_has_the_expectation_of_the_residual():
    x, weight = torch.randn(5, 3), torch.randn(3, 3)
    mean = sum(
        add_subset_residual(x, lambda t: t @ weight, 0.4)
        for _ in range(4000)) / 4000
    # A residual is 5/3 with probability 3/5: a standard error of
    # sqrt(2/3 / 4000) = 1.3 % of it; 5 of these for 15 values.
    expected = x + x @ weight
    assert ((mean - expected).abs() <= 0.065 * (x @ weight).abs() + 1e-4).all()


def test_layers_of_subset_depth():
    """Drops in training only; the first layer never; the teacher never."""
    model = build_model(
        backbone=dict(drop_path_rate=0.5, drop_path_type='batch'))
    plain = build_model()
    x = torch.randn(8, 3, 32, 32)
    assert torch.equal(
        model.eval().backbone.extract_tokens(x)[1],
        plain.eval().backbone.extract_tokens(x)[1])
    model.train()
    sizes = []
    for layer in (model.backbone.layers[0], model.backbone.layers[1],
                  model.teacher.backbone.layers[1]):
        layer.attn.register_forward_hook(
            lambda module, args, out: sizes.append(len(out)))
        layer.ffn.register_forward_hook(
            lambda module, args, out: sizes.append(len(out)))
    model.backbone.extract_tokens(x)
    model.teacher.backbone.extract_tokens(x)
    assert sizes == [8, 8, 4, 4, 8, 8]
    assert list(model.state_dict()) == list(plain.state_dict())
    with pytest.raises(ValueError, match='drop_path_type'):
        build_model(backbone=dict(drop_path_type='half'))


def test_images_arrive_channels_last():
    """The order of the collated crops is kept up to the convolution."""
    preprocessor = MultiCropDataPreprocessor(
        mean=[1., 2., 3.], std=[4., 5., 6.], to_rgb=True)
    data = preprocessor(batch(2))['inputs']
    for crops in (*(view.crops for view in data.global_views),
                  *(crops.flatten(0, 1) for crops in data.local_crops)):
        assert crops.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_crops_that_are_copied_beside_other_work():
    preprocessor = MultiCropDataPreprocessor(mean=[0.], std=[1.]).cuda()
    busy = torch.rand(2048, 2048, device='cuda')
    for value in range(20):
        crops = torch.full((4, 1, 64, 64), value, dtype=torch.uint8)
        for _ in range(10):
            busy = (busy @ busy).softmax(-1)
        moved = preprocessor(dict(inputs=CropBatch([], [
            crops.pin_memory()])))['inputs'].local_crops[0]
        assert moved.is_cuda and bool((moved == value).all())


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('dtype', ['float32', 'bfloat16', 'float16'])
def test_precisions_on_cuda(dtype):
    model = build_model(spread=0.05).cuda()
    wrapper = wrap(model, dtype=dtype)
    assert wrapper.optimizer.defaults['fused']
    losses = [
        model.train_step(batch(4), wrapper)['loss'].item() for _ in range(20)
    ]
    assert losses[-1] < losses[0] - 0.1


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('settings', [
    dict(),
    dict(head=dict(centering='sinkhorn_knopp'), koleo=dict(min_batch=2)),
], ids=['paper', 'options'])
def test_the_step_does_not_synchronize_with_the_device(settings):
    """Except for an event after the forward pass, which this mode allows."""
    model = build_model(**settings).cuda()
    model.head.observer = TokenStatistics()
    wrapper = wrap(model, clip_grad=dict(type='per_parameter', max_norm=3.))
    data = batch(4)
    data = model.data_preprocessor(data)
    model.train_step(batch(4), wrapper)
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        with wrapper.optim_context(model):
            losses = model.loss(data['inputs'])
        wrapper.update_params(
            sum(v for k, v in losses.items() if 'loss' in k))
        model.update_teacher(0.99)
        model.head.update_centers()
    finally:
        torch.cuda.set_sync_debug_mode('default')


@pytest.fixture
def without_tf32():
    """Float32 products in all bits, whatever an earlier test has set."""
    backends = (torch.backends.cudnn, torch.backends.cuda.matmul)
    before = [backend.allow_tf32 for backend in backends]
    for backend in backends:
        backend.allow_tf32 = False
    yield
    for backend, allowed in zip(backends, before):
        backend.allow_tf32 = allowed


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_cuda_equals_cpu(without_tf32):
    plain, moved = build_model(), build_model().cuda()
    losses = plain.loss(batch(4)['inputs'])
    inputs = moved.data_preprocessor(batch(4))['inputs']
    for name, value in moved.loss(inputs).items():
        torch.testing.assert_close(value.cpu(), losses[name], rtol=1e-3,
                                   atol=1e-3)
