"""Predicted cost of the training step."""

import sys
from pathlib import Path

import pytest
import torch
from mmengine.utils import digit_version
from torch import nn

from ibot_mm.models.layers.pos_embed import interpolate_positions

pytestmark = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.5'),
    reason='traces with the operators of PyTorch 2.5 or later')


@pytest.fixture(scope='module')
def trace_step():
    """The module, which is not part of a package."""
    folder = str(Path(__file__).parents[2] / 'tools/benchmarks')
    sys.path.insert(0, folder)
    import trace_step
    yield trace_step
    sys.path.remove(folder)


def vit_flops(tokens: int, images: int, width: int, layers: int) -> float:
    """FLOPs of the forward pass of a ViT: products and attention."""
    per_image = tokens / images
    return layers * tokens * (24 * width**2 + 4 * per_image * width)


def test_step_of_vit_small(trace_step):
    """Bounds on its waste, at the published shapes."""
    trace, result = trace_step.predict(
        trace_step.parse_args(['--batch', '64']))
    assert result['kernels'] <= 2100
    assert result['gigabytes'] <= 100
    assert result['activation_gib'] <= 5
    # Nothing without data is left for other models of the process.
    positions = interpolate_positions(torch.ones(1, 197, 8), (14, 14), (6, 6))
    torch.testing.assert_close(positions, torch.ones(1, 37, 8))
    # By hand: patch embedding, 12 layers, and the teacher's MLP on all tokens.
    views = ((64 * 2, 64 * 2 * 197), (64 * 10, 64 * 10 * 37))
    forward = [2 * tokens * 768 * 384 + vit_flops(tokens, images, 384, 12)
               for images, tokens in views]
    mlp = 2 * views[0][1] * (384 * 2048 + 2048**2 + 2048 * 256)
    assert trace.total('teacher').flops == pytest.approx(
        forward[0] + mlp, rel=0.03)
    # The backward pass takes twice the forward pass; the student's heads see
    # masked patches only.
    assert trace.total().flops == pytest.approx(
        forward[0] + mlp + 3 * sum(forward), rel=0.1)


@pytest.mark.slow
def test_compiled_blocks_move_less(trace_step):
    settings = ['--batch', '64', '--compile']
    _, result = trace_step.predict(trace_step.parse_args(settings))
    assert result['gigabytes'] <= 86
    assert result['kernels'] <= 1550


def test_matrix_product_by_hand(trace_step):
    import roofline
    card = roofline.Card(bandwidth=1e12, half=1e14, tf32=1e13, single=1e12)
    a, b = torch.empty(100, 200), torch.empty(200, 300)
    cost = roofline.cost_of('mm', [a, b], [torch.empty(100, 300)], (a, b),
                              card, tf32=True)
    assert cost.flops == 2 * 100 * 200 * 300
    assert cost.bytes == 4 * (100 * 200 + 200 * 300 + 100 * 300)
    # Three bounds, of which the launch is the largest here.
    assert cost.seconds == roofline.LAUNCH
    big = torch.empty(8192, 8192, dtype=torch.bfloat16, device='meta')
    cost = roofline.cost_of('mm', [big, big], [big], (big, big), card, True)
    assert cost.seconds == pytest.approx(2 * 8192**3 / (0.57 * 1e14))


def test_launches_of_lists_by_hand(trace_step):
    """Two lists of 100 small tensors: at most 64 pairs per launch."""
    from roofline import foreach_launches
    small = [torch.empty(10)] * 100
    assert foreach_launches(2, small) == 2
    # 640 chunks of 65,536 values in launches of 320.
    assert foreach_launches(
        1, [torch.empty(640 * 65536, device='meta')]) == 2


def test_fused_kernels_by_hand(trace_step):
    """gelu(x) W + x + 1: gelu, product, one kernel for both additions."""
    from fused_cost import compiled_cost
    from torch._subclasses.fake_tensor import FakeTensorMode

    class Block(nn.Module):

        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(64, 64, bias=False)

        def forward(self, x):
            return self.linear(nn.functional.gelu(x)) + x + 1

    with FakeTensorMode():
        cost = compiled_cost(Block(), (torch.empty(128, 64), ), False,
                             trace_step.CARDS['H100'])
    tensor = 4 * 128 * 64
    assert cost.kernels == 3
    assert cost.flops == 2 * 128 * 64 * 64
    # gelu: 2; product: 2 and the weight; additions: 2 read, 1 written.
    assert cost.bytes == 7 * tensor + 4 * 64 * 64
