"""mim: all subcommands with all kinds of installation on tiny runs."""

import functools
import http.server
import importlib.metadata
import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

from tests.helpers.installs import KINDS, Installation
from tests.helpers.launched import ROOT, environment, logged

pytest.importorskip('mim')
pytestmark = pytest.mark.slow

INSTALLED = {d.metadata['Name'] for d in importlib.metadata.distributions()}
OPENMIM = 'openmim' in INSTALLED
# Names that mim expects for the packages of the installed stack.
PRETRAIN, DETECTION, SEGMENTATION = (
    ('mmpretrain', 'mmdet', 'mmsegmentation') if OPENMIM else
    ('onedl-mmpretrain', 'onedl-mmdetection', 'onedl-mmsegmentation'))
ON_CPU = ('--gpus', '0', '--launcher', 'none')
QUICKSTART = 'ibot_vit-micro-p8_1xb64-20e_shapes.py'
PUBLISHED = 'ibot_vit-small-p16_16xb64-multicrop-800e_in1k'

# The tools of other packages do not depend on the kind of installation.
once = pytest.mark.parametrize('install', KINDS[:1], indirect=True)

# Configs of a user, which inherit ours from the installed package.
CONFIGS = {
    'pretrain.py': '''
_base_ = [__import__('ibot_mm').config_path(
    'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')]
train_dataloader = dict(
    batch_size=8, num_workers=0, persistent_workers=False)
train_cfg = dict(max_epochs=3, val_interval=3)
default_hooks = dict(
    runtime_info=dict(interval=1),
    logger=dict(interval=1),
    teacher_temperature=dict(warmup_epochs=2))
''',
    'classify.py': '''
_base_ = [__import__('ibot_mm').config_path(
    'benchmarks/classification/finetune/'
    'ibot_vit-small-p16_finetune-8xb128-200e_in1k.py')]
model = dict(
    backbone=dict(
        arch=dict(_delete_=True, embed_dims=96, num_layers=4, num_heads=3,
                  feedforward_channels=384),
        img_size=48,
        patch_size=8),
    data_preprocessor=dict(num_classes=12),
    head=dict(in_channels=96, num_classes=12))
pipeline = _base_.train_pipeline
pipeline[1].scale = 48
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 48
test_pipeline[2].crop_size = 48
loader = dict(batch_size=8, num_workers=0, persistent_workers=False)
data = dict(data_root='data/shapes/imagenet')
train_dataloader = dict(**loader, dataset=dict(**data, pipeline=pipeline))
val_dataloader = dict(**loader, dataset=dict(**data, pipeline=test_pipeline))
test_dataloader = val_dataloader
train_cfg = dict(max_epochs=1)
optim_wrapper = dict(dtype='float32')
param_scheduler = []
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(save_best=None))
''',
    'detect.py': '''
_base_ = [__import__('ibot_mm').config_path(
    'examples/mask-rcnn_vit-micro-p8-ibot-pre_fpn_shapes.py')]
model = dict(
    test_cfg=dict(rpn=dict(max_per_img=50), rcnn=dict(max_per_img=20)))
loader = dict(num_workers=0, persistent_workers=False)
train_dataloader = loader
val_dataloader = loader
test_dataloader = loader
train_cfg = dict(max_epochs=1)
default_hooks = dict(logger=dict(interval=1))
''',
    'segment.py': '''
_base_ = [__import__('ibot_mm').config_path(
    'examples/vit-micro-p8-ibot-pre_upernet_shapes.py')]
loader = dict(batch_size=8, num_workers=0, persistent_workers=False)
train_dataloader = loader
val_dataloader = dict(loader, batch_size=1)
test_dataloader = dict(loader, batch_size=1)
train_cfg = dict(max_iters=3, val_interval=3)
param_scheduler = []
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=3, save_best=None))
'''
}
ITERATIONS = dict(pretrain=9, classify=3, detect=3, segment=3)


@pytest.fixture(scope='module')
def shapes(tmp_path_factory):
    """24 scenes to train with and 12 to validate, in all layouts."""
    root = tmp_path_factory.mktemp('data') / 'shapes'
    subprocess.run([
        sys.executable, 'tools/dataset_tools/make_shapes.py', root, '--train',
        '24', '--val', '12', '--workers', '1'
    ], check=True, cwd=ROOT, env=environment())
    return root


@pytest.fixture(scope='module', params=KINDS)
def install(request, shapes, tmp_path_factory):
    """An installation with configs and data in its folder."""
    found = Installation(request.param, tmp_path_factory.mktemp(request.param))
    for name, text in CONFIGS.items():
        (found.folder / name).write_text(text)
    (found.folder / 'data').mkdir()
    (found.folder / 'data' / 'shapes').symlink_to(shapes)
    return found


@pytest.fixture
def ours(install):
    """An installation whose configs and tools mim finds."""
    if OPENMIM and install.kind == 'editable':
        pytest.skip('openmim does not find an editable ibot_mm')
    return install


@pytest.fixture(scope='module')
def pretrained(install):
    """Work dir of a pre-training with MMPretrain's ``train.py``."""
    output = install.mim('train', PRETRAIN, 'pretrain.py', *ON_CPU,
                         '--work-dir', 'work_dirs/mmpretrain')
    assert '/mmpretrain/.mim/tools/train.py pretrain.py' in output
    return install.folder / 'work_dirs' / 'mmpretrain'


def values(work_dir, key):
    """A logged value of every iteration of a run."""
    return [entry[key] for entry in logged(work_dir)]


def validated(work_dir):
    """Metrics of the last validation of a training."""
    path, = work_dir.glob('*/vis_data/scalars.json')
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    return next(line for line in reversed(lines) if 'loss' not in line)


def is_inside(path, folder):
    return Path(path).resolve().is_relative_to(folder.resolve())


def test_it_is_the_installation_that_is_used(install):
    where = install.where()
    if OPENMIM and install.kind == 'editable':
        assert not where.pop('used_by_mim').exists()
    described = where.pop('described')
    assert is_inside(described, install.site)
    for path in where.values():
        assert path.exists() and is_inside(path, install.root)
        assert not is_inside(path, ROOT)
    # An editable install must not have copies of configs and tools.
    copies = len(list(install.site.glob('*ibot_mm*/.mim')))
    assert copies == (0 if install.kind == 'editable' else 2)


def test_train_and_test(ours, pretrained):
    """Trains as MMPretrain; the config for testing is found by its name."""
    output = ours.mim('train', 'ibot_mm', 'pretrain.py', *ON_CPU,
                      '--work-dir', 'work_dirs/ours')
    script = output.split(f'Training command is {ours.python} ')[1].split()[0]
    assert is_inside(script, ours.root)
    work_dir = ours.folder / 'work_dirs' / 'ours'
    losses = values(work_dir, 'loss')
    assert len(losses) == ITERATIONS['pretrain']
    assert losses == pytest.approx(values(pretrained, 'loss'))
    output = ours.mim('test', 'ibot_mm', QUICKSTART, '--checkpoint',
                      work_dir / 'epoch_3.pth', *ON_CPU, '--work-dir',
                      'work_dirs/test', '--out', 'metrics.json')
    assert f"The path {QUICKSTART} doesn't exist but we find" in output
    metrics = json.loads((ours.folder / 'metrics.json').read_text())
    assert metrics['knn/k20_top5'] > 0
    wanted = validated(work_dir)
    assert metrics == pytest.approx({key: wanted[key] for key in metrics})


@once
def test_two_processes(ours):
    """Through mim's torch.distributed.launch, on the CPU."""
    ours.mim('train', 'ibot_mm', 'pretrain.py', '--gpus', 2, '--launcher',
             'pytorch', '--work-dir', 'work_dirs/two', '--no-validate')
    work_dir = ours.folder / 'work_dirs' / 'two'
    # 24 images, 2 x 8 per iteration, three epochs
    assert len(values(work_dir, 'loss')) == 3
    assert (work_dir / 'epoch_3.pth').is_file()


def test_run(ours, pretrained):
    """A tool that runs other tools of the same installation."""
    output = ours.mim('run', 'ibot_mm', 'evaluate',
                      pretrained / 'epoch_3.pth', '--data-root',
                      'data/shapes/imagenet', '--batch-size', 8, '--workers',
                      0, '--cfg-options', 'knn.test_cfg.protocol.k=[5]',
                      '--out', 'evaluation')
    script = output.split('Use the script ')[1].split()[0]
    assert is_inside(script, ours.root)
    results = json.loads(
        (ours.folder / 'evaluation' / 'results.json').read_text())
    found, = (rows['knn'] for rows in results.values())
    assert found['metrics']['knn/k5_top5'] > 0


def search_two_rates(install, package):
    """Folders are named after the work dir, the key and the value."""
    work_dir = f'work_dirs/{package}'
    install.mim('gridsearch', package, 'pretrain.py', *ON_CPU, '--work-dir',
                work_dir, '--search-args',
                '--optim_wrapper.optimizer.lr 1e-3 2e-3', '--no-validate',
                '--cfg-options', 'train_cfg.max_epochs=2')
    low, high = (
        values(install.folder / f'{work_dir}_search_optim_wrapper.optimizer.'
               f'lr_{rate}', 'lr') for rate in (0.001, 0.002))
    assert len(low) == len(high) == 6
    assert high[1] == pytest.approx(2 * low[1]) and low[1] > 0


def test_gridsearch(ours):
    search_two_rates(ours, 'ibot_mm')


def metafiles():
    """Entries of all models in the metafiles, by name."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return {
        model['Name']: model
        for path in index['Import']
        for model in yaml.safe_load((ROOT / path).read_text())['Models']
    }


def test_search(ours):
    ours.mim('search', 'ibot_mm', '--json', 'all.json')
    found = json.loads((ours.folder / 'all.json').read_text())
    assert found['config'] == {
        name: entry['Config'] for name, entry in metafiles().items()
    }
    ours.mim('search', 'ibot_mm', '--model', 'ibot', '--condition',
             'epochs>=400', '--sort', 'parameters', '--field', 'epochs',
             'parameters', '--json', 'long.json')
    found = json.loads((ours.folder / 'long.json').read_text())
    assert set(found) == {'epochs', 'parameters'}
    assert found['epochs'] == {
        name: entry['Metadata']['Epochs']
        for name, entry in metafiles().items()
        if entry['In Collection'] == 'iBOT'
        and entry['Metadata']['Epochs'] >= 400
    }


@pytest.fixture
def server(tmp_path):
    """(URL, folder) of a local web server."""
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as found:
        threading.Thread(target=found.serve_forever).start()
        yield f'http://127.0.0.1:{found.server_port}', tmp_path
        found.shutdown()


def test_download(ours, server):
    """Downloads weights if a metafile has their URL."""
    url, folder = server
    (folder / 'ours.pth').write_bytes(b'weights' * 1000)
    where = ours.where()['used_by_mim']
    metafile, = (path / 'configs/ibot/metafile.yml'
                 for path in (where / '.mim', where)
                 if (path / 'configs').is_dir())
    text = metafile.read_text()
    config = f'    Config: configs/ibot/{PUBLISHED}.py\n'
    assert text.count(config) == 1
    metafile.write_text(
        text.replace(config, f'{config}    Weights: {url}/ours.pth\n'))
    try:
        ours.mim('download', 'ibot_mm', '--config', PUBLISHED, '--dest', 'got')
    finally:
        metafile.write_text(text)
    got = ours.folder / 'got'
    assert (got / 'ours.pth').read_bytes() == b'weights' * 1000
    assert Config.fromfile(got / f'{PUBLISHED}.py').to_dict() == (
        Config.fromfile(ROOT / f'configs/ibot/{PUBLISHED}.py').to_dict())


def test_download_without_weights(ours):
    """mim raises; the config is available as in docs/launching/mim.md."""
    assert not any('Weights' in entry for entry in metafiles().values())
    output = ours.mim('download', 'ibot_mm', '--config', PUBLISHED, '--dest',
                      'nothing', code=1)
    assert 'ValueError' in output and "but got {'weight'}" in output
    ours.run(
        ours.python, '-c', 'import ibot_mm, mmengine; '
        'mmengine.Config.fromfile(ibot_mm.config_path('
        f"'ibot/{PUBLISHED}.py')).dump('{PUBLISHED}.py')")
    assert Config.fromfile(ours.folder / f'{PUBLISHED}.py').to_dict() == (
        Config.fromfile(ROOT / f'configs/ibot/{PUBLISHED}.py').to_dict())


def test_mmpretrain_pretrains(pretrained):
    losses = values(pretrained, 'loss')
    assert len(losses) == ITERATIONS['pretrain']
    assert 'knn/k20_top1' in validated(pretrained)
    assert (pretrained / 'epoch_3.pth').is_file()


@pytest.mark.parametrize('task,package,last,metric', [
    ('classify', PRETRAIN, 'epoch_1.pth', 'accuracy/top5'),
    ('detect', DETECTION, 'epoch_1.pth', 'coco/bbox_mAP'),
    ('segment', SEGMENTATION, 'iter_3.pth', 'mIoU'),
])
def test_train_and_test_with_other_packages(install, pretrained, task,
                                            package, last, metric):
    """From the pre-trained weights; the test repeats the validation."""
    work_dir = install.folder / 'work_dirs' / task
    output = install.mim(
        'train', package, f'{task}.py', *ON_CPU, '--work-dir', work_dir,
        '--cfg-options', 'model.backbone.init_cfg.checkpoint='
        f'{pretrained / "epoch_3.pth"}')
    assert f'/.mim/tools/train.py {task}.py' in output
    assert len(values(work_dir, 'loss')) == ITERATIONS[task]
    install.mim('test', package, f'{task}.py', '--checkpoint',
                work_dir / last, *ON_CPU, '--work-dir', work_dir / 'test')
    path, = (work_dir / 'test').glob('[0-9]*/[0-9]*.json')
    assert json.loads(path.read_text())[metric] == pytest.approx(
        validated(work_dir)[metric], abs=1e-4)


@once
@pytest.mark.parametrize('package,config', [
    (PRETRAIN, 'classify.py'),
    (DETECTION, 'detect.py'),
    (SEGMENTATION, 'segment.py'),
])
def test_tools_of_other_packages_accept_our_configs(install, package, config):
    output = install.mim('run', package, 'print_config', config)
    assert "type='ibot_mm.IBOTViT'" in output


@once
def test_gridsearch_with_mmpretrain(install):
    search_two_rates(install, PRETRAIN)


@once
@pytest.mark.parametrize('package,config', [
    (PRETRAIN, 'mae_vit-base-p16_8xb512-amp-coslr-300e_in1k'),
    (DETECTION, 'mask-rcnn_r50_fpn_1x_coco'),
    (SEGMENTATION, 'fcn_r50-d8_4xb2-40k_cityscapes-512x1024'),
])
def test_search_and_download_with_other_packages(install, tmp_path, package,
                                                 config):
    """Offline: existing weights are not downloaded again."""
    install.mim('search', package, '--config', config, '--json',
                tmp_path / 'found.json')
    found = json.loads((tmp_path / 'found.json').read_text())
    weights = found['weight'][config].rsplit('/', 1)[1]
    (tmp_path / weights).touch()
    output = install.mim('download', package, '--config', config, '--dest',
                         tmp_path)
    assert f'{weights} exists in {tmp_path}' in output
    assert (tmp_path / f'{config}.py').is_file()
