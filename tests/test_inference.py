"""The inferencers and tools of the hosts, as docs/inference.md says."""

from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpretrain import get_model

from ibot_mm import config_path
from tests.helpers.in_process import run_tool

PRETRAINING = config_path('examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')
CLASSES = tuple('abcdefghijkl')
TOOLS = Path(find_spec('mmpretrain').origin).parent / '.mim' / 'tools'

pytestmark = pytest.mark.slow


@pytest.fixture
def image(tmp_path):
    path = tmp_path / 'a.jpg'
    cv2.imwrite(str(path), np.random.default_rng(0).integers(
        0, 256, (80, 96, 3), dtype=np.uint8))
    return str(path)


@pytest.fixture
def pretrained(tmp_path):
    """A checkpoint of the quickstart, whose teacher is not its student."""
    model = get_model(PRETRAINING)
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.normal_(0, 0.1)
    path = tmp_path / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return model.teacher.backbone, str(path)


def save(model, path, **meta):
    torch.save(dict(state_dict=model.state_dict(), meta=dict(
        dataset_meta=dict(classes=CLASSES, **meta))), path)
    return str(path)


def assert_teacher(model, teacher):
    expected = teacher.state_dict()
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_mmdetection(image, pretrained, tmp_path):
    pytest.importorskip('mmcv._ext')
    apis = pytest.importorskip('mmdet.apis')
    config = config_path(
        'examples/mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py')
    teacher, path = pretrained
    model = apis.init_detector(config, path, device='cpu')
    assert_teacher(model, teacher)
    weights = save(model, tmp_path / 'detector.pth')
    found = apis.inference_detector(
        apis.init_detector(config, weights, device='cpu'), image)
    again = apis.DetInferencer(
        config, weights, device='cpu', show_progress=False)(
            image, no_save_vis=True)['predictions'][0]
    np.testing.assert_allclose(
        again['scores'], found.pred_instances.scores, rtol=1e-5)


def test_mmsegmentation(image, pretrained, tmp_path):
    apis = pytest.importorskip('mmseg.apis')
    config = config_path('examples/vit-micro-p8-ibot-pre_upernet_shapes.py')
    teacher, path = pretrained
    model = apis.init_model(config, path, device='cpu')
    assert_teacher(model, teacher)
    weights = save(model, tmp_path / 'segmentor.pth',
                   palette=[[i] * 3 for i in range(12)])
    found = apis.inference_model(
        apis.init_model(config, weights, device='cpu'), image)
    again = apis.MMSegInferencer(config, weights, device='cpu')(image)
    assert again['predictions'].shape == (80, 96)
    np.testing.assert_array_equal(again['predictions'],
                                  found.pred_sem_seg.data[0])


def test_flops():
    """Those of the patch embedding by hand: 36 patches of 8 x 8 x 3."""
    out, _ = run_tool(TOOLS / 'analysis_tools' / 'get_flops.py', PRETRAINING,
                      '--shape', 48)
    embedding = 36 * 8 * 8 * 3 * 96 / 1e6
    assert f'{embedding:.3f}M'[:4] in out and 'Flops: ' in out


@pytest.mark.parametrize('parameter', ['lr', 'wd'])
def test_drawing_of_schedules(tmp_path, parameter):
    run_tool(TOOLS / 'visualization' / 'vis_scheduler.py', PRETRAINING,
             '--dataset-size', 128, '--ngpus', 1, '--not-show', '--parameter',
             parameter, '--save-path', tmp_path / 'schedule.png')
    assert (tmp_path / 'schedule.png').stat().st_size > 1000


def test_tsne_of_the_teacher(shapes, pretrained, tmp_path):
    teacher, path = pretrained
    sklearn = pytest.importorskip('sklearn.manifold')
    import inspect
    tool = TOOLS / 'visualization' / 'vis_tsne.py'
    if ('n_iter=' in tool.read_text() and 'n_iter' not in
            inspect.signature(sklearn.TSNE).parameters):
        pytest.skip('this MMPretrain needs an older scikit-learn')
    config = tmp_path / 'classifier.py'
    config.write_text(f'''
_base_ = {PRETRAINING!r}
backbone = dict(
    arch=dict(embed_dims=96, num_layers=4, num_heads=3,
              feedforward_channels=384),
    type='ibot_mm.IBOTViT', img_size=48, patch_size=8, out_type='cls_token')
model = dict(_delete_=True, type='ImageClassifier', backbone=backbone,
             data_preprocessor=dict(
                 type='mmpretrain.ClsDataPreprocessor', num_classes=12),
             head=dict(type='LinearClsHead', num_classes=12, in_channels=96))
test_dataloader = dict(
    batch_size=12, num_workers=0,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ibot_mm.LabeledDataset', data_root='{shapes}',
                 data_prefix='val', pipeline=[
                     dict(type='ibot_mm.LoadImage'),
                     dict(type='Resize', scale=(48, 48)),
                     dict(type='PackInputs')]))
''')
    run_tool(tool, config, '--checkpoint', path, '--work-dir', tmp_path,
             '--device', 'cpu', '--perplexity', 5)
    features = np.load(next(tmp_path.glob('*/feat_3.npy')))
    dataset = Config.fromfile(config).test_dataloader.dataset
    from mmengine.registry import DATASETS, DefaultScope
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        first = DATASETS.build(dataset)[0]['inputs']
    with torch.no_grad():
        expected = teacher.eval().extract_cls(first[None].float())
    np.testing.assert_allclose(features[0], expected[0], atol=1e-4)
