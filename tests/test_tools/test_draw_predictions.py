"""Pictures of predictions against what is computed here from the files."""

import runpy
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import MODELS, DefaultScope
from mmengine.structures import InstanceData, PixelData

import ibot_mm
from tests.helpers.in_process import import_tool

GENERATOR = 'dataset_tools/make_shapes.py'
TOOLS = Path(__file__).resolve().parents[2] / 'tools'
COUNT, NUM_CLASSES = 5, 6
PALETTE = [[9, 8, 7], [250, 0, 0], [0, 250, 0], [0, 0, 250], [200, 200, 0],
           [0, 200, 200]]
BACKBONE = """dict(
    _delete_=True, type='ibot_mm.IBOTViT', img_size=64, patch_size=16,
    arch=dict(embed_dims=16, num_layers=4, num_heads=2,
              feedforward_channels=32),
    out_type='featmap', out_indices=(0, 1, 2, -1), out_with_norm=False,
    init_cfg=dict(type='Pretrained', checkpoint=''))"""
NECK = "dict(type='ibot_mm.ViTPyramid', in_channels=16)"
DETECTOR = """
_base_ = 'mmdet::mask_rcnn/mask-rcnn_r50_fpn_1x_coco.py'
model = dict(
    backbone={backbone},
    neck=[{neck},
          dict(type='FPN', in_channels=[16] * 4, out_channels=16,
               num_outs=5)],
    rpn_head=dict(in_channels=16, feat_channels=16),
    roi_head=dict(
        bbox_roi_extractor=dict(out_channels=16),
        bbox_head=dict(in_channels=16, fc_out_channels=16, num_classes=6),
        mask_roi_extractor=dict(out_channels=16),
        mask_head=dict(num_convs=1, in_channels=16, conv_out_channels=16,
                       num_classes=6)),
    test_cfg=dict(rpn=dict(nms_pre=100, max_per_img=20)))
test_dataloader = dict(dataset=dict(
    data_root='{data}/coco/', metainfo=dict(classes={classes}),
    pipeline=[dict(type='LoadImageFromFile'),
              dict(type='Resize', scale=(200, 100), keep_ratio=True),
              dict(type='LoadAnnotations', with_bbox=True, with_mask=True),
              dict(type='PackDetInputs')]))
"""
SEGMENTOR = """
_base_ = [__import__('ibot_mm').config_path(f'mmseg::_base_/{{name}}.py')
          for name in ('models/upernet_beit', 'default_runtime')]
model = dict(
    data_preprocessor=dict(size=None, size_divisor=16),
    backbone={backbone},
    neck=dict(_delete_=True, **{neck}),
    decode_head=dict(in_channels=[16] * 4, channels=16, num_classes=6),
    auxiliary_head=None)
test_dataloader = dict(dataset=dict(
    type='BaseSegDataset', data_root='{data}/ade20k',
    img_suffix='.jpg', seg_map_suffix='.png', reduce_zero_label=True,
    data_prefix=dict(img_path='images/validation',
                     seg_map_path='annotations/validation'),
    metainfo=dict(classes={classes}, palette={palette}), test_mode=True,
    pipeline=[dict(type='LoadImageFromFile'),
              dict(type='Resize', scale=(200, 100), keep_ratio=True),
              dict(type='LoadAnnotations', reduce_zero_label=True),
              dict(type='PackSegInputs')]))
"""


@pytest.fixture(scope='module')
def tool():
    return runpy.run_path(
        str(TOOLS / 'visualization' / 'draw_predictions.py'), run_name='tool')


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Validation images of the shapes, in the layouts of both hosts."""
    out = tmp_path_factory.mktemp('shapes')
    layouts = ['coco', 'ade20k']
    generator = import_tool(GENERATOR)
    generator.make_folders(out, NUM_CLASSES, layouts)
    scenes = [generator.write_scene(i, out, 0, 1, NUM_CLASSES, layouts)
              for i in range(COUNT)]
    generator.write_lists(out, 1, scenes, NUM_CLASSES, layouts)
    return out


@pytest.fixture(scope='module')
def classes():
    return [import_tool(GENERATOR).class_name(i) for i in range(NUM_CLASSES)]


@pytest.fixture(autouse=True)
def scope():
    """The tool sets the default scope for good."""
    with DefaultScope.overwrite_default_scope('mmengine'):
        yield


def files_of(folder, text, scope, change, data, classes):
    """Config and checkpoint of a model whose weights are not those of new."""
    config, checkpoint = folder / 'config.py', folder / 'weights.pth'
    config.write_text(text.format(backbone=BACKBONE, neck=NECK, data=data,
                                  classes=tuple(classes), palette=PALETTE))
    with DefaultScope.overwrite_default_scope(scope):
        torch.manual_seed(0)
        model = MODELS.build(Config.fromfile(config).model)
    with torch.no_grad():
        change(model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), checkpoint)
    return config, checkpoint


@pytest.fixture(scope='module')
def detector(data, classes, tmp_path_factory):
    """It finds class 2, with a score of 0.7, in the boxes of its RPN."""
    pytest.importorskip('mmdet')

    def change(model):
        model.rpn_head.rpn_cls.weight.normal_(std=1)
        head = model.roi_head.bbox_head
        head.fc_cls.weight.zero_()
        head.fc_cls.bias.fill_(float(np.log(0.05)))
        head.fc_cls.bias[2] = float(np.log(0.7))
        head.fc_reg.weight.zero_()

    return files_of(tmp_path_factory.mktemp('detector'), DETECTOR, 'mmdet',
                    change, data, classes)


@pytest.fixture(scope='module')
def segmentor(data, classes, tmp_path_factory):
    """It finds class 2 everywhere."""
    pytest.importorskip('mmseg')

    def change(model):
        model.decode_head.conv_seg.weight.zero_()
        model.decode_head.conv_seg.bias[2] = 1

    return files_of(tmp_path_factory.mktemp('segmentor'), SEGMENTOR, 'mmseg',
                    change, data, classes)


@pytest.fixture
def draw(tool, tmp_path, monkeypatch):
    """Runs the command; returns its pictures by name, or its error."""

    def run(files, *args, fails=False):
        monkeypatch.setattr(sys, 'argv', [
            tool['__file__'], *map(str, files), '--out',
            str(tmp_path / 'out'), '--device', 'cpu', *map(str, args)])
        if fails:
            with pytest.raises(SystemExit) as stop:
                tool['main']()
            assert not list(tmp_path.glob('out/*.png'))
            assert len(stop.value.code.splitlines()) == 1
            return stop.value.code
        tool['main']()
        return {path.name: cv2.imread(str(path))
                for path in sorted((tmp_path / 'out').glob('*.png'))}

    return run


def read(data, name):
    return cv2.imread(str(data / 'coco/val2017' / f'{name}.jpg'))


def halves(picture):
    return np.split(picture, 2, axis=1)


def test_segmentation(segmentor, data, classes, draw):
    from mmseg.structures import SegDataSample
    from mmseg.visualization import SegLocalVisualizer
    pictures = draw(segmentor, '--num', 3)
    sheet = pictures.pop('predictions.png')
    assert list(pictures) == [
        '000_000000.png', '001_000002.png', '002_000004.png']
    visualizer = SegLocalVisualizer(name='truth')
    visualizer.dataset_meta = dict(classes=classes, palette=PALETTE)
    for name, picture in pictures.items():
        image = read(data, name[4:10])
        left, right = halves(picture)
        # Opaque to 0.8; where no name is written.
        expected = image * 0.2 + 0.8 * np.array(PALETTE[2][::-1])
        painted = np.abs(right - expected).max(axis=2) < 2
        assert painted.mean() > 0.85 and painted[image.shape[0] // 2:].all()
        labels = cv2.imread(
            str(data / 'ade20k/annotations/validation' / f'{name[4:10]}.png'),
            cv2.IMREAD_UNCHANGED)
        truth = SegDataSample(gt_sem_seg=PixelData(
            data=torch.from_numpy(labels[None].astype(int) - 1) % 256))
        path = str(segmentor[0].parent / 'truth.png')
        visualizer.add_datasample('', image[..., ::-1].copy(), truth,
                                  draw_pred=False, out_file=path)
        np.testing.assert_array_equal(left, cv2.imread(path))
    heights = [round(p.shape[0] * 800 / p.shape[1]) for p in pictures.values()]
    assert sheet.shape == (sum(heights) + 2 * 6, 800, 3)
    last = sheet[-heights[-1]:]
    shrunk = cv2.resize(picture, last.shape[1::-1],
                        interpolation=cv2.INTER_CUBIC)
    np.testing.assert_array_equal(last, shrunk)


def test_detection(tool, detector, data, classes, draw):
    """Ground truth from the annotation file, prediction from the host."""
    from mmdet.apis import inference_detector, init_detector
    from mmdet.structures import DetDataSample
    from mmdet.structures.mask import BitmapMasks
    from mmdet.visualization import DetLocalVisualizer
    from pycocotools.coco import COCO
    name = '000000'
    coco = COCO(str(data / 'coco/annotations/instances_val2017.json'))
    items = [a for a in coco.imgToAnns[1] if not a['iscrowd']]
    image = read(data, name)
    boxes = torch.tensor([a['bbox'] for a in items])
    boxes[:, 2:] += boxes[:, :2]
    sample = DetDataSample(gt_instances=InstanceData(
        bboxes=boxes,
        labels=torch.tensor([a['category_id'] - 1 for a in items]),
        masks=BitmapMasks([coco.annToMask(a) for a in items],
                          *image.shape[:2])))
    cfg = Config.fromfile(detector[0])
    cfg.model.backbone.init_cfg = None
    model = init_detector(cfg, str(detector[1]), palette='random',
                          device='cpu')
    found = inference_detector(
        model, str(data / 'coco/val2017' / f'{name}.jpg')).pred_instances
    likely = found[found.scores > 0.3]
    assert 3 < len(likely) < len(found) and (likely.labels == 2).all()
    torch.testing.assert_close(likely.scores, torch.full((len(likely), ), .7))
    sample.pred_instances = found
    visualizer = DetLocalVisualizer(name='truth')
    visualizer.dataset_meta = dict(
        classes=classes, palette=tool['distinct_colors'](NUM_CLASSES))
    path = str(detector[0].parent / 'truth.png')
    np.random.seed(0)
    visualizer.add_datasample('', image[..., ::-1].copy(), sample,
                              out_file=path)
    picture = draw(detector, '--num', 1)[f'000_{name}.png']
    np.testing.assert_array_equal(picture, cv2.imread(path))
    left, right = halves(picture)
    assert (left != image).any() and (right != image).any()


def test_score_threshold(detector, data, draw):
    """Class 2 has a score of 0.7, the others have 0.05."""
    shown = draw(detector, '--num', 1, '--score-thr', 0.69)
    hidden = draw(detector, '--num', 1, '--score-thr', 0.71)
    image = read(data, '000000')
    pictures = [halves(p['000_000000.png']) for p in (shown, hidden)]
    assert (pictures[0][1] != image).any()
    np.testing.assert_array_equal(pictures[1][1], image)
    np.testing.assert_array_equal(pictures[0][0], pictures[1][0])


@pytest.mark.parametrize('host', ['detector', 'segmentor'])
def test_annotations_before_the_resizing(request, host, draw, tmp_path):
    """The ground truth is in the image's own pixels in any order."""
    config, checkpoint = request.getfixturevalue(host)
    cfg, other = Config.fromfile(config), tmp_path / 'other.py'
    steps = cfg.test_dataloader.dataset.pipeline
    steps[1], steps[2] = steps[2], steps[1]
    cfg.dump(other)
    name = '000_000000.png'
    np.testing.assert_array_equal(
        draw((other, checkpoint), '--num', 1)[name],
        draw((config, checkpoint), '--num', 1)[name])


@pytest.mark.parametrize('host', ['detector', 'segmentor'])
def test_images_without_annotations(request, host, data, draw, tmp_path):
    """Neither is the data set there; same predictions."""
    files = request.getfixturevalue(host)
    expected = draw(files, '--num', 1)['000_000000.png']
    for path in (tmp_path / 'out').iterdir():
        path.unlink()
    folder = tmp_path / 'photos'
    folder.mkdir()
    (folder / 'notes.txt').write_text('no image')
    for i in range(3):
        (folder / f'{i}.JPG').write_bytes(
            (data / f'coco/val2017/00000{i}.jpg').read_bytes())
    pictures = draw(files, '--num', 2, '--images', folder, folder / '1.JPG',
                    '--cfg-options', 'test_dataloader.dataset.data_root=gone')
    assert list(pictures) == [
        '000_0.png', '001_2.png', '002_1.png', 'predictions.png']
    assert all(pictures[f'{name}.png'].shape == read(data, image).shape
               for name, image in (('000_0', '000000'), ('001_2', '000002'),
                                   ('002_1', '000001')))
    right = halves(expected)[1]
    if host == 'segmentor':
        np.testing.assert_array_equal(pictures['000_0.png'], right)
    else:  # The shades of instances are drawn anew.
        close = np.abs(pictures['000_0.png'].astype(int) - right) < 80
        assert close.mean() > 0.99


def test_preprocessor_beside_the_model(tool, segmentor):
    """MMEngine's runner knows it there as well."""
    cfg = Config.fromfile(segmentor[0])
    cfg.data_preprocessor = dict(cfg.model.pop('data_preprocessor'),
                                 mean=[1, 2, 3])
    with DefaultScope.overwrite_default_scope('mmseg'):
        model = tool['load_model'](cfg, str(segmentor[1]), 'cpu')
    assert model.data_preprocessor.mean.flatten().tolist() == [1, 2, 3]
    assert not any(module.training for module in model.modules())


def test_weights_must_fit(segmentor, draw, tmp_path):
    config, checkpoint = segmentor
    state = torch.load(checkpoint, weights_only=False)['state_dict']
    del state['decode_head.conv_seg.bias']
    path = tmp_path / 'partial.pth'
    torch.save(dict(state_dict=state), path)
    error = draw((config, path), fails=True)
    assert str(path) in error and 'decode_head.conv_seg.bias' in error


@pytest.mark.parametrize('args, message', [
    (['--images', 'gone.jpg'], '"gone.jpg"'),
    (['--images', '{}/empty'], '"{}/empty"'),
    (['--images', '{}/half.jpg'], '"{}/half.jpg"'),
    (['--cfg-options', 'test_dataloader.dataset.data_root=gone'],
     "'gone"),
])
def test_bad_images(segmentor, data, draw, tmp_path, args, message):
    (tmp_path / 'empty').mkdir()
    whole = (data / 'coco/val2017/000000.jpg').read_bytes()
    (tmp_path / 'half.jpg').write_bytes(whole[:len(whole) // 2])
    args = [arg.format(tmp_path) for arg in args]
    error = draw(segmentor, *args, fails=True)
    assert message.format(tmp_path) in error.replace(str(TOOLS.parent), '')


def test_other_files_are_refused(draw, segmentor):
    pretraining = ibot_mm.config_path(
        'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')
    for files, message in [
        ((pretraining, segmentor[1]), 'builds IBOT, which is neither'),
        (('gone.py', segmentor[1]), 'gone.py'),
        ((segmentor[0], 'gone.pth'), 'there is no checkpoint "gone.pth"'),
    ]:
        assert message in draw(files, fails=True)


def test_test_time_augmentation_is_refused(segmentor, draw):
    error = draw(segmentor, '--cfg-options', 'test_dataloader.dataset.'
                 'pipeline.1.type=TestTimeAug', fails=True)
    assert 'use the config without it' in error


def test_bad_options(draw, segmentor, capsys):
    with pytest.raises(SystemExit) as stop:
        draw(segmentor, '--num', 0)
    assert stop.value.code == 2
    assert '--num must be at least 1, got 0.' in capsys.readouterr().err


def test_colors_are_far_apart(tool):
    """And those of few classes are the first of many."""
    colors = np.array(tool['distinct_colors'](12))
    between = np.abs(colors[:, None] - colors[None]).sum(axis=2)
    assert between[~np.eye(12, dtype=bool)].min() > 100
    many = tool['distinct_colors'](300)
    assert many[:12] == list(map(tuple, colors.tolist()))
    assert len(set(many)) == many.index((255, 0, 0), 1) == 168


@pytest.mark.parametrize('metainfo, own', [
    (None, True),
    (dict(classes=('cat', 'dog')), True),
    (dict(classes=('disc', 'ring')), False),
    (dict(classes=('disc', 'ring'), palette=[(1, 2, 3), (4, 5, 6)]), True),
])
def test_palette_of_the_data_set_is_kept(tool, metainfo, own):
    datasets = pytest.importorskip('mmdet.datasets')
    dataset = datasets.CocoDataset(lazy_init=True, metainfo=metainfo)
    palette = tool['with_palette'](dataset, dict(metainfo=metainfo))['palette']
    expected = dataset.metainfo['palette'] if own else [
        (255, 0, 0), (0, 0, 255)]
    assert palette == expected


def test_palette_that_the_host_made_up_is_replaced(tool):
    datasets = pytest.importorskip('mmseg.datasets')
    settings = dict(metainfo=dict(classes=('disc', 'ring')))
    dataset = datasets.BaseSegDataset(lazy_init=True, **settings)
    assert len(dataset.metainfo['palette']) == 2
    assert tool['with_palette'](dataset, settings)['palette'] == [
        (255, 0, 0), (0, 0, 255)]
