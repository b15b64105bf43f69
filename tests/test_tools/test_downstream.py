"""Detection and segmentation through tools/train.py and tools/test.py.

On a few scenes of the shapes data set, from a checkpoint of a pre-training,
with the example configs. What these models learn in more than some steps is
in the documentation.
"""

import json
import os
import runpy
import subprocess
import sys
from itertools import product
from pathlib import Path

import cv2
import mmcv
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import MODELS, init_default_scope

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.engine.config_check import ConfigError
from ibot_mm.models import IBOT

pytest.importorskip('mmdet')
pytest.importorskip('mmseg')

ROOT = Path(__file__).parents[2]
CONFIGS = ROOT / 'configs' / 'examples'
EXAMPLES = dict(
    mask='mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py',
    cascade='cascade-mask-rcnn_vit-micro-p8-ibot-pre_fpn_'
    '4conv1fc-giou_shapes.py',
    upernet='vit-micro-p8-ibot-pre_upernet_shapes.py',
    linear='vit-micro-p8-ibot-pre_linear_shapes.py')
DETECTORS = ('mask', 'cascade')
IMAGES = 8


def run(monkeypatch, script, *args):
    """A script of tools/ in this process, where importing costs nothing."""
    path = str(ROOT / 'tools' / script)
    monkeypatch.setattr(sys, 'argv', [path, *map(str, args), '--traceback'])
    monkeypatch.chdir(ROOT)
    try:
        runpy.run_path(path, run_name='__main__')
    except SystemExit as stop:  # of a trial; newer versions of PyTorch hide it
        assert not stop.code


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """A data set of 8 scenes to train with and 8 to validate."""
    root = tmp_path_factory.mktemp('shapes') / 'shapes'
    subprocess.run(
        [sys.executable, ROOT / 'tools/dataset_tools/make_shapes.py', root,
         '--train', str(IMAGES), '--val', str(IMAGES), '--layouts', 'coco',
         'ade20k', '--workers', '1'], check=True)
    return root


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """(path, teacher) of a checkpoint of the quickstart's network."""
    cfg = Config.fromfile(
        ROOT / 'configs/examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')
    torch.manual_seed(1)
    model = IBOT(**{k: v for k, v in cfg.model.items() if k != 'type'})
    model.init_weights()
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_20.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path, model.teacher.backbone.state_dict()


def options(name, shapes, work_dir):
    """Two batches of four images an epoch, two epochs (four iterations)."""
    kind = 'coco' if name in DETECTORS else 'ade20k'
    root = f'{shapes / kind}/'
    found = [
        f'{split}_dataloader.{key}' for split in ('train', 'val', 'test')
        for key in (f'dataset.data_root={root}', 'num_workers=0',
                    'persistent_workers=False')
    ] + ['train_dataloader.batch_size=4', 'randomness.seed=0',
         'default_hooks.logger.interval=1',
         # In one process a visualizer is found by its name.
         f'visualizer.name={work_dir}']
    if name in DETECTORS:
        # Padding to the largest image of a batch takes part in attention.
        found += ['train_cfg.max_epochs=2', 'val_dataloader.batch_size=4',
                  'test_dataloader.batch_size=4',
                  'model.test_cfg.rpn.max_per_img=50',
                  'model.test_cfg.rcnn.max_per_img=20']
        for split in ('val', 'test'):
            found += [
                f'{split}_evaluator.ann_file={root}annotations/'
                'instances_val2017.json',
                f'{split}_evaluator.outfile_prefix={work_dir / split}'
            ]
    else:
        found += [
            'train_cfg.max_iters=4', 'train_cfg.val_interval=2',
            'default_hooks.checkpoint.interval=2',
            'param_scheduler.0.end=2', 'param_scheduler.1.begin=2',
            'param_scheduler.1.end=4'
        ]
    return found


def checkpoint(name, work_dir, part):
    """The first or the second of the run's two checkpoints."""
    stem = f'epoch_{part}' if name in DETECTORS else f'iter_{2 * part}'
    return work_dir / f'{stem}.pth'


@pytest.fixture(scope='module', params=[
    pytest.param(name, marks=pytest.mark.slow) if name in (
        'cascade', 'upernet') else name for name in EXAMPLES])
def trained(request, shapes, pretrained, tmp_path_factory):
    """(name, work dir, lines of the log) of a complete run."""
    name = request.param
    work_dir = tmp_path_factory.mktemp(name)
    with pytest.MonkeyPatch.context() as patch:
        run(patch, 'train.py', CONFIGS / EXAMPLES[name], '--pretrained',
            pretrained[0], '--work-dir', work_dir, '--cfg-options',
            *options(name, shapes, work_dir))
    return name, work_dir, scalars(work_dir)


def scalars(work_dir):
    path = max(work_dir.glob('*/vis_data/scalars.json'))
    return [json.loads(line) for line in path.read_text().splitlines()]


def metrics(name, line):
    keys = ('coco/bbox_mAP', 'coco/segm_mAP') if name in DETECTORS else (
        'mIoU', 'aAcc', 'mAcc')
    return {key: line[key] for key in keys if key in line}


def test_it_trains_and_validates(trained):
    name, work_dir, lines = trained
    losses = [line['loss'] for line in lines if 'loss' in line]
    assert len(losses) == 4 and all(0 < loss < 100 for loss in losses)
    found = [metrics(name, line) for line in lines if metrics(name, line)]
    assert len(found) == 2
    state = torch.load(
        checkpoint(name, work_dir, 2), weights_only=False)
    assert state['meta']['iter'] == 4


def test_it_starts_from_the_teacher(trained, pretrained):
    """Adam moves a weight by about its learning rate at each of 4 steps."""
    name, work_dir, _ = trained
    state = torch.load(
        checkpoint(name, work_dir, 2), weights_only=False)['state_dict']
    moved = {
        key: (state[f'backbone.{key}'] - value).abs().max().item()
        for key, value in pretrained[1].items()
        if f'backbone.{key}' in state
    }
    absent = set(pretrained[1]) - set(moved)
    if name == 'linear':
        assert not absent and max(moved.values()) == 0
    elif name == 'upernet':
        assert not absent and 0 < max(moved.values()) < 0.01
    else:  # no layer's output is normed
        assert absent == {'ln1.weight', 'ln1.bias'}
        assert 0 < max(moved.values()) < 0.01


def test_the_linear_head_is_one_convolution(trained):
    name, work_dir, _ = trained
    if name != 'linear':
        pytest.skip('of the linear head')
    state = torch.load(
        checkpoint(name, work_dir, 2), weights_only=False)['state_dict']
    head = {k: tuple(v.shape) for k, v in state.items()
            if not k.startswith('backbone.')}
    assert head == {
        'decode_head.conv_seg.weight': (12, 4 * 96, 1, 1),
        'decode_head.conv_seg.bias': (12, )
    }


def test_a_checkpoint_gives_the_metric_of_its_training(
        trained, shapes, monkeypatch, tmp_path):
    name, work_dir, lines = trained
    run(monkeypatch, 'test.py', CONFIGS / EXAMPLES[name],
        checkpoint(name, work_dir, 2), '--work-dir', tmp_path, '--out',
        tmp_path / 'metrics.json', '--cfg-options',
        *options(name, shapes, tmp_path))
    again = json.loads((tmp_path / 'metrics.json').read_text())
    wanted = [metrics(name, x) for x in lines if metrics(name, x)][-1]
    assert metrics(name, again) == pytest.approx(wanted, abs=1e-6)
    if name in DETECTORS:  # AP is near 0 so early: compare what was found
        for part in ('bbox', 'segm'):
            then, now = [
                json.loads((folder / f'{split}.{part}.json').read_text())
                for folder, split in ((work_dir, 'val'), (tmp_path, 'test'))
            ]
            assert len(then) == len(now) > IMAGES
            for a, b in zip(then, now):
                assert a['image_id'] == b['image_id']
                assert a['score'] == pytest.approx(b['score'], abs=1e-5)


def test_boxes_without_segmentation(shapes, pretrained, monkeypatch,
                                    tmp_path):
    """The example without a mask head needs none in the annotations."""
    folder = shapes / 'coco' / 'annotations'
    for split in ('train', 'val'):
        content = json.loads(
            (folder / f'instances_{split}2017.json').read_text())
        for box in content['annotations']:
            del box['segmentation']
        (folder / f'boxes_{split}2017.json').write_text(json.dumps(content))
    run(monkeypatch, 'train.py',
        CONFIGS / 'faster-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py',
        '--pretrained', pretrained[0], '--work-dir', tmp_path,
        '--cfg-options', *options('mask', shapes, tmp_path),
        'train_cfg.max_epochs=1',
        f'val_evaluator.ann_file={folder}/boxes_val2017.json',
        *(f'{split}_dataloader.dataset.ann_file='
          f'annotations/boxes_{split}2017.json' for split in (
              'train', 'val')))
    names = {name for line in scalars(tmp_path) for name in line}
    assert {'loss_bbox', 'coco/bbox_mAP'} <= names
    assert not {'loss_mask', 'coco/segm_mAP'} & names


def test_it_resumes(trained, shapes, monkeypatch, tmp_path):
    """From the middle: its Adam counts the steps of both runs."""
    name, work_dir, lines = trained
    run(monkeypatch, 'train.py', CONFIGS / EXAMPLES[name], '--work-dir',
        tmp_path, '--resume', checkpoint(name, work_dir, 1), '--cfg-options',
        *options(name, shapes, tmp_path))
    state = torch.load(
        checkpoint(name, tmp_path, 2), weights_only=False)
    assert state['meta']['iter'] == 4
    steps = {float(x['step'])
             for x in state['optimizer']['state'].values()}
    assert steps == {4.}
    rates = [[x['lr'] for x in run if 'loss' in x]
             for run in (lines, scalars(tmp_path))]
    assert rates[1] == rates[0][2:]


def iou_by_hand(predictions, maps, classes):
    """Mean IoU in percent; raw 0 of a map is ignored, k is class k - 1."""
    predicted = torch.cat([x.flatten() for x in predictions])
    wanted = torch.cat([x.flatten() for x in maps]).long() - 1
    predicted, wanted = predicted[wanted >= 0], wanted[wanted >= 0]
    ious = []
    for c in range(classes):
        either = ((predicted == c) | (wanted == c)).sum()
        if either:
            both = ((predicted == c) & (wanted == c)).sum()
            ious.append(float(both / either))
    return 100 * sum(ious) / len(ious)


def multi_scale_iou(cfg, path, root):
    """Mean IoU of the mean over scales and flips, made here.

    Args:
        cfg: Config of a segmentor.
        path: Its checkpoint.
        root: Data set with images of about (192, 96) pixels.
    """
    init_default_scope('mmseg')
    model = revert_sync_batchnorm(MODELS.build(cfg.model)).eval()
    model.load_state_dict(torch.load(path, weights_only=False)['state_dict'])
    predictions, maps = [], []
    for file in sorted((root / 'images' / 'validation').iterdir()):
        image = cv2.imread(str(file))
        total = 0
        for ratio, flip in product((1.0, 1.25, 1.5), (False, True)):
            scaled = mmcv.imrescale(
                image, (int(ratio * 192), int(ratio * 96)))
            tensor = torch.from_numpy(
                scaled[:, :, ::-1].copy()).permute(2, 0, 1)[None].float()
            tensor = (tensor - model.data_preprocessor.mean
                      ) / model.data_preprocessor.std
            if flip:
                tensor = tensor.flip(-1)
            with torch.no_grad():
                logits = model.inference(tensor, [dict(
                    ori_shape=scaled.shape[:2], img_shape=scaled.shape[:2])])
            if flip:
                logits = logits.flip(-1)
            total = total + F.interpolate(
                logits, image.shape[:2], mode='bilinear').softmax(1)
        predictions.append(total.argmax(1))
        maps.append(torch.from_numpy(cv2.imread(
            str(root / 'annotations' / 'validation' / f'{file.stem}.png'),
            cv2.IMREAD_UNCHANGED)))
    return iou_by_hand(predictions, maps, 12)


@pytest.mark.slow
def test_tta_is_the_mean_over_scales_and_flips(
        trained, shapes, monkeypatch, tmp_path):
    """In one process, and in two behind their distributed wrappers."""
    name, work_dir, _ = trained
    if name != 'upernet':
        pytest.skip('of UperNet')
    config, path = CONFIGS / EXAMPLES[name], checkpoint(name, work_dir, 2)
    arguments = ['--tta', '--cfg-options', *options(name, shapes, tmp_path)]
    run(monkeypatch, 'test.py', config, path, '--work-dir', tmp_path, '--out',
        tmp_path / '1.json', *arguments)
    subprocess.run(
        ['bash', ROOT / 'tools/dist_test.sh', config, path, '2', '--work-dir',
         tmp_path, '--out', tmp_path / '2.json', *arguments,
         # SyncBN of several processes needs GPUs.
         *(f'model.{part}.norm_cfg.type=BN' for part in (
             'neck', 'decode_head', 'auxiliary_head'))],
        check=True, env=dict(os.environ, PYTHON=sys.executable))
    expected = multi_scale_iou(
        Config.fromfile(config), path, shapes / 'ade20k')
    for processes in (1, 2):
        found = json.loads((tmp_path / f'{processes}.json').read_text())
        assert found['mIoU'] == pytest.approx(expected, abs=0.02)


def test_tta_loads_all_weights(trained, shapes, monkeypatch, tmp_path):
    name, work_dir, _ = trained
    if name != 'linear':
        pytest.skip('of the linear head')
    content = torch.load(checkpoint(name, work_dir, 2), weights_only=False)
    del content['state_dict']['decode_head.conv_seg.bias']
    torch.save(content, tmp_path / 'damaged.pth')
    with pytest.raises(CheckpointError, match='decode_head.conv_seg.bias'):
        run(monkeypatch, 'test.py', CONFIGS / EXAMPLES[name],
            tmp_path / 'damaged.pth', '--work-dir', tmp_path, '--tta',
            '--cfg-options', *options(name, shapes, tmp_path))


def test_tta_checks_the_classes(trained, shapes, monkeypatch, tmp_path):
    name, work_dir, _ = trained
    if name != 'linear':
        pytest.skip('of the linear head')
    with pytest.raises(ValueError, match='decode_head.num_classes is 12'):
        run(monkeypatch, 'test.py', CONFIGS / EXAMPLES[name],
            checkpoint(name, work_dir, 2), '--work-dir', tmp_path, '--tta',
            '--cfg-options', *options(name, shapes, tmp_path),
            'test_dataloader.dataset.metainfo.classes=[disc,star]',
            'test_dataloader.dataset.metainfo.palette=[[0,0,0],[1,1,1]]')


def test_tta_keeps_the_preprocessor_of_the_model():
    """The Runner gives the outer model that at the top of the config."""
    script = runpy.run_path(str(ROOT / 'tools' / 'test.py'))
    cfg = Config.fromfile(CONFIGS / EXAMPLES['linear'])
    cfg.model.data_preprocessor.mean = [1., 2., 3.]
    assert cfg.data_preprocessor.mean != [1., 2., 3.]
    script['augment_test'](cfg)
    cfg.model.setdefault('data_preprocessor', cfg.data_preprocessor)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    assert model.module.data_preprocessor.mean.flatten().tolist() == [
        1., 2., 3.]


def test_tta_without_its_pipeline(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match='no tta_model and no tta_pipeline'):
        run(monkeypatch, 'test.py', CONFIGS / EXAMPLES['mask'], 'none.pth',
            '--work-dir', tmp_path, '--tta')


@pytest.mark.slow
@pytest.mark.parametrize('name', ['mask', 'upernet'])
def test_a_trial(name, shapes, pretrained, monkeypatch, tmp_path):
    """Of the config as it is, on other data."""
    settings = [option for option in options(name, shapes, tmp_path)
                if not option.startswith(('train_cfg', 'param_', 'default_'))]
    run(monkeypatch, 'train.py', CONFIGS / EXAMPLES[name], '--pretrained',
        pretrained[0], '--work-dir', tmp_path, '--trial', 2, '--cfg-options',
        *settings)
    lines = scalars(tmp_path)
    assert [line['step'] for line in lines if 'loss' in line] == [1, 2]
    assert metrics(name, lines[-1])
    assert not list(tmp_path.glob('*.pth'))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
@pytest.mark.parametrize('name', EXAMPLES)
def test_float16_on_a_gpu(name, shapes, pretrained, monkeypatch, tmp_path):
    """The precision of the published recipes, with loss scaling.

    From a scale that so few steps need not search for.
    """
    if name in DETECTORS:
        pytest.importorskip('mmcv._ext')
    run(monkeypatch, 'train.py', CONFIGS / EXAMPLES[name], '--pretrained',
        pretrained[0], '--work-dir', tmp_path, '--amp', 'float16',
        '--cfg-options', *options(name, shapes, tmp_path),
        'optim_wrapper.loss_scale=256.')
    losses = [x['loss'] for x in scalars(tmp_path) if 'loss' in x]
    assert len(losses) == 4 and all(0 < loss < 100 for loss in losses)
    state = torch.load(
        checkpoint(name, tmp_path, 2), weights_only=False)
    assert 'loss_scaler' in state['optimizer']
    assert all(torch.isfinite(x).all() for x in state['state_dict'].values())
