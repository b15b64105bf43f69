"""The benchmarks compare equal computations and print their results."""

import importlib.util
import json
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest
import torch

from ibot_mm.structures import CropBatch
from tests.helpers.builders import TINY_MODEL, batch, build_model
from tests.helpers.dense import dense_losses
from tests.helpers.in_process import import_tool, run_tool

ROOT = Path(__file__).parents[2]


def load(name):
    spec = importlib.util.spec_from_file_location(
        name, ROOT / 'tools' / 'benchmarks' / f'{name}.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_dense_step_is_the_one_of_the_paper():
    model = build_model().double()
    inputs = batch(3, local_sizes=(16, 16, 8))['inputs']
    inputs = CropBatch(
        [view._replace(crops=view.crops.double())
         for view in inputs.global_views],
        [crops.double() for crops in inputs.local_crops])
    expected = dense_losses(
        model, [view.crops for view in inputs.global_views],
        [view for crops in inputs.local_crops for view in crops],
        [view.mask for view in inputs.global_views])
    losses = load('dense_step').dense_loss(model, inputs)
    for name in ('loss_cls_global', 'loss_cls_local', 'loss_patch'):
        torch.testing.assert_close(losses[name], expected[name])
    torch.testing.assert_close(model.head.center.value, expected['center'])
    torch.testing.assert_close(model.head.patch_center.value,
                               expected['patch_center'])


def tiny(folder):
    """A config of the published crops for a tiny network."""
    config = folder / 'tiny.py'
    config.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py')]
model = {TINY_MODEL}
''')
    return config


@pytest.mark.slow
def test_step_benchmark_prints_a_ratio(tmp_path):
    config, row = tiny(tmp_path), tmp_path / 'row.json'
    out = run_tool(
        'benchmarks/step.py', config, '--batch', 2, '--steps', 1, '--rounds',
        2, '--device', 'cpu', '--dtype', 'float32', '--prototypes', 40,
        '--views', 'none', '--dense', '--json', row).out
    found = json.loads(row.read_text())
    assert (found['batch'], found['dtype'], found['views'],
            found['prototypes']) == (2, 'float32', None, 40)
    ours, dense = found['ours'], found['dense']
    for result in (ours, dense):
        assert len(result['rounds']) == 2
        assert result['images_per_second'] == pytest.approx(
            2 / result['seconds'])
    ratio = re.search(r'ours is ([\d.]+)x as fast .* takes ([\d.]+)x', out)
    assert float(ratio[1]) == pytest.approx(
        median(d / o for d, o in zip(dense['rounds'], ours['rounds'])),
        abs=0.01)
    assert float(ratio[2]) == pytest.approx(
        ours['peak_mib'] / dense['peak_mib'], abs=0.01)
    if ours['flops']:  # PyTorch 2.6 or later
        # The head of the dense step sees the patches that are not masked.
        assert dense['flops'] > ours['flops'] > 0


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_step_benchmark_on_a_gpu(tmp_path):
    row = tmp_path / 'row.json'
    run_tool('benchmarks/step.py', tiny(tmp_path), '--batch', 4, '--device',
             'cuda', '--json', row)
    found = json.loads(row.read_text())
    assert found['device'] == torch.cuda.get_device_name()
    found = found['ours']
    # Forward and backward of 4 layers alone are more than 100.
    assert 100 < found['kernels'] < 10_000
    assert 0 < found['kernel_seconds'] and 0 < found['launch_seconds']
    assert found['flops'] > 0 and found['peak_mib'] > 1


def test_kernels_are_counted_in_a_trace():
    event = dict(ph='X', ts=0, dur=1000)
    trace = dict(traceEvents=[
        dict(event, cat='kernel', name='Optimizer'),
        dict(event, cat='kernel', name='gemm', dur=3000),
        dict(event, cat='kernel', name='gemm', dur=2000),
        dict(event, cat='gpu_memcpy', name='Memcpy HtoD'),
        dict(event, cat='gpu_user_annotation', name='Optimizer.step#AdamW'),
        dict(event, cat='cuda_runtime', name='cudaLaunchKernel'),
        dict(ph='M', name='process_name'),
    ])
    found = import_tool('benchmarks/training_step.py').count_kernels(trace)
    assert found == dict(
        kernels=3, kernel_seconds=pytest.approx(6e-3),
        top_kernels=dict(gemm=pytest.approx(5e-3), Optimizer=1e-3))
    assert list(found['top_kernels']) == ['gemm', 'Optimizer']


@pytest.mark.parametrize('device,dtype,tf32,peak', [
    ('NVIDIA H100 80GB HBM3', 'bfloat16', False, 989e12),
    ('NVIDIA H100 PCIe', 'float16', False, 756e12),
    ('NVIDIA A100-SXM4-80GB', 'float32', True, 156e12),
    ('NVIDIA A100-SXM4-80GB', 'float32', False, None),
    ('2 cores of AMD EPYC', 'bfloat16', False, None),
])
def test_peaks_are_those_of_the_data_sheets(device, dtype, tf32, peak):
    step = import_tool('benchmarks/step.py')
    assert step.peak_flops(
        dict(device=device, dtype=dtype, tf32=tf32)) == peak


@pytest.mark.slow
@pytest.mark.skipif(not Path('/proc/self/clear_refs').exists(),
                    reason='memory of a CPU is measured on Linux')
def test_backbone_memory_prints_a_table():
    """Checkpointing keeps the inputs of 12 layers and little else."""
    out = subprocess.run(
        [sys.executable,
         str(ROOT / 'tools' / 'benchmarks' / 'backbone_memory.py'),
         '--arch', 'tiny', '--size', '256', '--batch', '4', '--threads', '1',
         '--steps', '1', '--device', 'cpu'],
        capture_output=True, text=True, check=True, timeout=300).stdout
    rows = re.findall(r'^\| tiny/16 \| 256 x 256 \| (off|on) '
                      r'\| ([\d,]+) \| ([\d.]+) \|$', out, re.MULTILINE)
    assert [row[0] for row in rows] == ['off', 'on']
    plain, saving = (float(row[1].replace(',', '')) for row in rows)
    assert all(float(row[2]) > 0 for row in rows)
    # What 12 layers keep for the backward pass, in values per token and layer:
    # input, two norms, qkv, heads' output, hidden twice (before and after
    # GELU): 4 x 257 x 192 x (1 + 2 + 3 + 1 + 8) x 4 bytes each.
    kept = 12 * 4 * 257 * 192 * 15 * 4 / 2**20
    assert plain > kept
    assert saving < plain - kept / 2
    assert load('backbone_memory').build('large', False, 16).out_indices == [
        5, 11, 17, 23]
