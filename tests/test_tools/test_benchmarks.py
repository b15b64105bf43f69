"""The benchmarks compare equal computations and print their results."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ibot_mm.structures import CropBatch
from tests.helpers.builders import TINY_MODEL, batch, build_model
from tests.helpers.dense import dense_losses

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


def test_step_benchmark_prints_a_ratio(tmp_path):
    config = tmp_path / 'tiny.py'
    config.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py')]
model = {TINY_MODEL}
''')
    counts = load('step').can_count_flops()
    out = subprocess.run(
        [sys.executable, str(ROOT / 'tools' / 'benchmarks' / 'step.py'),
         str(config), '--batch', '2', '--steps', '2', '--threads', '1',
         '--device', 'cpu', *(['--peak-tflops', '1'] if counts else [])],
        capture_output=True, text=True, check=True, timeout=300).stdout
    seconds = re.search(r'seconds per step +([\d.]+) +([\d.]+)', out)
    ratio = re.search(r'ours is ([\d.]+)x as fast .* takes ([\d.]+)x', out)
    peaks = re.search(r'peak memory, MiB +(\d+) +(\d+)', out)
    assert float(seconds[1]) > 0 and float(seconds[2]) > 0
    assert float(ratio[1]) > 0
    assert float(ratio[2]) == pytest.approx(
        float(peaks[2]) / float(peaks[1]), abs=0.02)
    if counts:
        flops = re.search(r'TFLOP per step +([\d.]+) +([\d.]+)', out)
        assert float(flops[1]) >= float(flops[2])
    for part in ('teacher backbone', 'student neck', 'backward',
                 'clipping and optimizer', 'teacher update', 'first passes'):
        assert part in out


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
