"""A linear probe becomes a classifier."""

import json

import pytest
import torch
from mmpretrain import ImageClassificationInferencer

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTViT
from tests.helpers.builders import ARCH
from tests.helpers.in_process import run_tool, train

TOOL = 'model_converters/merge_linear_head.py'


@pytest.fixture(scope='module')
def probe(shapes, tmp_path_factory):
    """Work dir of an epoch of a probe with a tiny network."""
    folder = tmp_path_factory.mktemp('probe')
    torch.manual_seed(3)
    vit = IBOTViT(ARCH, img_size=32, patch_size=8)
    vit.init_weights()
    torch.save(dict(state_dict={f'backbone.{name}': value for name, value
                                in vit.state_dict().items()}),
               folder / 'backbone.pth')
    config = folder / 'probe.py'
    config.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'benchmarks/classification/linear/'
    'ibot_vit-small-p16_linear-8xb128-100e_in1k.py')]
model = dict(
    num_classes=12, n_last_blocks=2, learning_rates=[1e-9, .5, 3., 1.],
    backbone=dict(arch=dict(_delete_=True, **{ARCH}), img_size=32,
                  patch_size=8))
steps = [dict(type='ibot_mm.LoadImage'), dict(type='Resize', scale=(32, 32)),
         dict(type='PackInputs')]
train_dataloader = dict(batch_size=24, num_workers=0,
                        persistent_workers=False,
                        dataset=dict(data_root='{shapes}', pipeline=steps))
val_dataloader = train_dataloader
test_dataloader = train_dataloader
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1, save_best=None))
''')
    train(config, folder / 'run', '--pretrained', folder / 'backbone.pth')
    return folder / 'run'


def test_its_accuracy_is_that_of_the_best_head(probe, tmp_path):
    """The number in the log of the probe, from the files of the tool."""
    log, = probe.glob('*/vis_data/scalars.json')
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    wanted, = (entry for entry in entries if 'linear/top1' in entry)
    out = tmp_path / 'new' / 'classifier.pth'
    shown = run_tool(TOOL, probe / 'epoch_1.pth', out).out
    head = [1e-9, .5, 3., 1.].index(wanted['linear/lr'])
    assert f'head {head} ' in shown
    run_tool('test.py', out.with_suffix('.py'), out, '--work-dir',
             tmp_path / 'test', '--out', tmp_path / 'metrics.json')
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['accuracy/top1'] == pytest.approx(
        wanted['linear/top1'], abs=1e-5)
    assert metrics['accuracy/top1'] > 100 / 12


def test_a_chosen_head(probe, shapes, tmp_path):
    source, out = probe / 'epoch_1.pth', tmp_path / 'classifier.pth'
    run_tool(TOOL, source, out, '--head', 2)
    merged, old = (torch.load(path, weights_only=False)
                   for path in (out, source))
    assert torch.equal(merged['state_dict']['head.fc.weight'],
                       old['state_dict']['weight'][2])
    assert torch.equal(merged['state_dict']['head.fc.bias'],
                       old['state_dict']['bias'][2])
    names = sorted(path.name for path in (shapes / 'train').iterdir())
    assert merged['meta']['dataset_meta']['classes'] == tuple(names)
    infer = ImageClassificationInferencer(
        str(out.with_suffix('.py')), str(out), device='cpu')
    result, = infer(str(next((shapes / 'val').rglob('*.jpg'))))
    assert result['pred_class'] == names[result['pred_label']]


def test_what_cannot_be_merged(probe, tmp_path):
    alone = tmp_path / 'epoch_1.pth'
    alone.write_bytes((probe / 'epoch_1.pth').read_bytes())
    with pytest.raises(CheckpointError, match='--head'):
        run_tool(TOOL, alone, tmp_path / 'out.pth')
    with pytest.raises(CheckpointError, match='--head 4'):
        run_tool(TOOL, alone, tmp_path / 'out.pth', '--head', 4)
    with pytest.raises(CheckpointError, match='backbone.pth'):
        run_tool(TOOL, probe.parent / 'backbone.pth', tmp_path / 'out.pth')
