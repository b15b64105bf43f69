"""Backbones in ONNX Runtime."""

import numpy as np
import pytest
import torch

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTSwin
from tests.helpers.builders import build_model
from tests.helpers.in_process import run_tool

pytest.importorskip('onnx')
onnxruntime = pytest.importorskip('onnxruntime')
TO_ONNX = 'model_converters/mm_to_onnx.py'


@pytest.mark.parametrize('settings', [
    dict(), dict(num_register_tokens=3, layer_scale_init_value=0.3)])
def test_any_batch_and_size(settings, tmp_path):
    """Also those for which the tool does not compare."""
    model = build_model(backbone=settings)
    backbone = model.teacher.backbone.eval()
    torch.save(model.state_dict(), tmp_path / 'epoch_1.pth')
    out = run_tool(TO_ONNX, tmp_path / 'epoch_1.pth', tmp_path / 'vit.onnx',
                   '--num-heads', 3).out
    assert '1x32x32' in out and 'vit.onnx' in out
    session = onnxruntime.InferenceSession(
        str(tmp_path / 'vit.onnx'), providers=['CPUExecutionProvider'])
    for batch, height, width in ((5, 32, 32), (1, 16, 88), (2, 61, 40)):
        x = torch.randn(batch, 3, height, width)
        cls, patches = session.run(None, dict(images=x.numpy()))
        with torch.no_grad():
            expected = backbone.extract_tokens(x)
        # Patches of 8 pixels; the last ones are padded.
        assert patches.shape == (batch, -(-height // 8), -(-width // 8), 24)
        np.testing.assert_allclose(cls, expected[0], atol=1e-5)
        np.testing.assert_allclose(patches.reshape(batch, -1, 24),
                                   expected[1], atol=1e-5)


def test_nothing_is_written_that_differs(tmp_path):
    model = build_model()
    torch.save(model.state_dict(), tmp_path / 'epoch_1.pth')
    with pytest.raises(ValueError, match='vit.onnx.*tolerance'):
        run_tool(TO_ONNX, tmp_path / 'epoch_1.pth', tmp_path / 'vit.onnx',
                 '--num-heads', 3, '--tolerance', -1)
    assert not (tmp_path / 'vit.onnx').exists()


def test_a_swin_transformer_is_refused(tmp_path):
    swin = IBOTSwin(
        arch=dict(embed_dims=8, depths=[1, 1], num_heads=[1, 2]),
        img_size=56, out_indices=(1, ))
    torch.save(swin.state_dict(), tmp_path / 'swin.pth')
    with pytest.raises(CheckpointError, match='swin.pth.*Swin'):
        run_tool(TO_ONNX, tmp_path / 'swin.pth', tmp_path / 'vit.onnx')
