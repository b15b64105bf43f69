"""Pre-training from a folder of images."""

import sys

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope

import ibot_mm
from ibot_mm.apis.batch_split import Batch
from ibot_mm.apis.commented_config import Choice, Code, choices, commented
from ibot_mm.apis.image_survey import survey_images
from ibot_mm.apis.machine import Machine
from ibot_mm.apis.pretrain import BASE, CONTINUED_BASE, Plan
from ibot_mm.apis.recipe import Options, recipe
from ibot_mm.apis.recipe_warnings import warnings
from ibot_mm.apis.step_probe import StepProbe
from ibot_mm.checkpoints.architecture import backbone_config
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTSwin, IBOTViT
from ibot_mm.paths import config_path
from ibot_mm.registry import MODELS
from tests.helpers.builders import ARCH
from tests.helpers.in_process import isolated, run_tool
from tests.helpers.launched import run

GIB = 2**30
CPU = Machine(0, 'CPU', 16 * GIB, 4)


@pytest.fixture
def folder(tmp_path):
    """Eight images of known sizes, a copy, and a truncated file."""
    rng = np.random.default_rng(0)
    for i in range(8):
        noise = rng.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(noise, (80, 64 - 4 * (i == 7)))
        (tmp_path / f'{i % 2}').mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / f'{i % 2}' / f'{i}.png'), image)
    cv2.imwrite(str(tmp_path / 'copy.jpg'), cv2.resize(
        cv2.imread(str(tmp_path / '0' / '0.png')), (100, 90)))
    data = (tmp_path / '1' / '1.png').read_bytes()
    (tmp_path / 'half.png').write_bytes(data[:len(data) // 2])
    (tmp_path / 'notes.txt').write_text('no image')
    return tmp_path


def test_survey_by_hand(folder):
    survey = survey_images(str(folder))
    assert survey.count == 10
    assert sorted(survey.sizes) == [(60, 80)] + 7 * [(64, 80)] + [(90, 100)]
    assert (survey.channels, survey.bits, survey.short_side) == (3, 8, 64)
    assert [path for path, _ in survey.unreadable] == [
        str(folder / 'half.png')]
    assert [set(pair) for pair in survey.duplicates] == [
        {str(folder / 'copy.jpg'), str(folder / '0' / '0.png')}]


def test_channels_and_their_statistics(tmp_path):
    for value in (1000, 3000):
        cv2.imwrite(str(tmp_path / f'{value}.png'),
                    np.full((32, 32), value, np.uint16))
    survey = survey_images(str(tmp_path))
    assert (survey.channels, survey.bits) == (1, 16)
    assert survey.mean == [2000.] and survey.std == [1000.]


@pytest.mark.parametrize('make, words', [
    (lambda path: None, 'no images'),
    (lambda path: (path / 'a.png').write_bytes(b'x'), 'a.png'),
    (lambda path: path.rmdir(), 'no folder')])
def test_folders_without_images(tmp_path, make, words):
    make(tmp_path)
    with pytest.raises(ValueError, match=words):
        survey_images(str(tmp_path))


def survey_of(folder, **settings):
    return survey_images(str(folder))._replace(**settings)


def values(settings):
    return {key: choice.value for key, choice in choices(settings)}


def test_the_published_recipe(folder):
    """ImageNet on 16 large GPUs is the paper's ViT-S/16."""
    survey = survey_of(folder, count=1281167, sizes=[(375, 500)])
    found = values(recipe(survey, Machine(16, 'GPU', 80 * GIB, 256),
                          Options(), 'out', 'images'))
    published = Config.fromfile(config_path(
        'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'))
    model, hooks = published.model, published.default_hooks
    assert found['model.backbone.arch'] == model.backbone.arch
    assert found['model.backbone.img_size'] == model.backbone.img_size
    assert found['model.backbone.patch_size'] == model.backbone.patch_size
    assert found['model.neck.num_prototypes'] == model.neck.num_prototypes
    assert found['train_dataloader.batch_size'] == 64
    assert found['train_dataloader.num_workers'] == 12
    assert found['optim_wrapper.accumulative_counts'] == 1
    assert found['optim_wrapper.optimizer.lr'] == (
        published.optim_wrapper.optimizer.lr)
    assert found['default_hooks.teacher_ema.momentum'] == (
        hooks.teacher_ema.momentum)
    assert 'default_hooks.teacher_temperature.teacher_temp' not in found


def test_memory_and_hours_by_hand(folder):
    """100 MiB an image; 5 ms an image and 64 ms a step, at 128 images."""
    survey = survey_of(folder, count=20000, sizes=[(48, 48)])
    machine = Machine(1, 'GPU', 5 * GIB, 9)
    probe = StepProbe(0.005, 0.064, 0.004, 300 * 2**20, GIB)
    found = values(recipe(survey, machine, Options(batch=128, hours=1),
                          'out', 'images', probe))
    # (0.8 x 5 - 1) GiB / 100 MiB = 30.
    assert found['train_dataloader.batch_size'] == 25
    assert found['optim_wrapper.accumulative_counts'] == 5
    assert found['train_dataloader.num_workers'] == 8
    # 5 + 64 / 25 ms, more than 4 / 8 of loading; 3600 / (20000 x 0.00756).
    assert found['train_cfg.max_epochs'] == 23
    assert found['model.backbone.img_size'] == 48
    assert found['model.backbone.patch_size'] == 8
    assert Batch(25, 1, 5).total == 125


def test_warnings_name_files(folder):
    survey = survey_of(folder, bits=16, sizes=[(12, 20)])
    settings = recipe(survey, CPU, Options(), 'out', 'images')
    few, unreadable, copies, small, wide = warnings(
        survey, str(folder), settings)
    assert 'few' in few and 'half.png' in unreadable
    assert 'copy.jpg' in copies and 'patches' in small and '16 bits' in wide


def test_comments_stand_before_values():
    text = commented(dict(
        a=dict(b=Choice(1, 'word ' * 30), c=dict(d='x')), e=Code('a')))
    assert text.splitlines()[:3] == [
        'a = dict(', '    # ' + ' '.join(14 * ['word']),
        '    # ' + ' '.join(14 * ['word'])]
    assert text.splitlines()[-4:] == [
        '    b=1,', "    c=dict(d='x'),", ')', 'e = a']
    scope = {}
    exec(text, scope)
    assert scope['e'] == dict(b=1, c=dict(d='x'))


def test_many_channels_in_a_config(folder):
    """The written file is a config whose pipeline keeps the channels."""
    survey = survey_of(folder, channels=6, bits=16, mean=[1.] * 6,
                       std=[2.] * 6)
    settings = recipe(survey, CPU, Options(), 'out', 'images')
    cfg = Config.fromstring(
        f"_base_ = __import__('ibot_mm').config_path('{BASE}')\n"
        + commented(settings), '.py')
    load, crops, masks = cfg.train_dataloader.dataset.pipeline
    assert (load.color, load.channels) == ('unchanged', 6)
    assert all(tuple(crop.jitter[2:]) == (0, 0) and crop.gray_prob == 0
               for crop in (*crops.global_crops, *crops.local_crops))
    assert masks.patch_size == 8
    assert cfg.model.backbone.in_channels == 6
    assert len(cfg.model.data_preprocessor.mean) == 6


def test_weights_that_exist(folder, tmp_path):
    """Their architecture, at the size of the images; heads start alone."""
    torch.manual_seed(0)
    weights = IBOTViT(ARCH, img_size=48, patch_size=8, num_register_tokens=2)
    path = tmp_path / 'vit.pth'
    torch.save(weights.state_dict(), path)
    options = Options(init=str(path), epochs=20, backbone=backbone_config(
        weights.state_dict(), ARCH['num_heads']))
    settings = recipe(survey_of(folder), CPU, options, 'out', 'images')
    cfg = Config.fromstring(
        "_base_ = __import__('ibot_mm').config_path("
        f"'{CONTINUED_BASE}')\n" + commented(settings), '.py')
    hooks = cfg.default_hooks
    assert hooks.freeze_backbone.epochs == hooks.teacher_ema.still_epochs == 2
    assert cfg.param_scheduler[0].warmup == 4
    # Half of 5e-4 x 10 / 256, for 10 images.
    assert cfg.optim_wrapper.optimizer.lr == pytest.approx(9.765625e-06)
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        model = MODELS.build(cfg.model)
    model.init_weights()
    for backbone in (model.backbone, model.teacher.backbone):
        assert backbone.patch_resolution == (8, 8)
        assert torch.equal(backbone.layers[1].ffn.layers[1].weight,
                           weights.layers[1].ffn.layers[1].weight)
        assert torch.equal(backbone.register_tokens, weights.register_tokens)


def test_heads_of_the_stored_config_and_swin(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules['ibot_mm.apis.pretrain'], 'probe_step',
                        lambda cfg: StepProbe(1., 0., 1.))
    arch = dict(ARCH, num_heads=2)
    torch.save(dict(
        state_dict={f'backbone.{k}': v for k, v in IBOTViT(
            arch, img_size=48, patch_size=8).state_dict().items()},
        meta=dict(cfg=f'model = dict(backbone=dict(arch={arch}))')),
        tmp_path / 'vit.pth')
    plan = Plan(str(folder), str(tmp_path / 'out'), str(tmp_path / 'vit.pth'),
                machine=CPU)
    backbone = plan.settings['model']['backbone']
    assert backbone['arch']['num_heads'] == 2
    assert 'inflate' not in backbone['init_cfg'].value
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    torch.save(swin.state_dict(), tmp_path / 'swin.pth')
    with pytest.raises(CheckpointError, match='swin.pth.* Swin'):
        Plan(str(folder), str(tmp_path), str(tmp_path / 'swin.pth'))


def test_options_that_contradict_each_other(folder):
    for options, words in ((dict(epochs=0), 'epochs'),
                           (dict(epochs=1, hours=1), 'hours'),
                           (dict(arch='tiny', init='x.pth'), 'init')):
        with pytest.raises(ValueError, match=words):
            Plan(str(folder), 'out', **options)


@pytest.mark.slow
def test_one_command(folder, tmp_path):
    """Plans, writes and trains; --resume continues; an edit is kept."""
    out = tmp_path / 'run'
    command = ['pretrain.py', str(folder), '--out', str(out),
               '--batch', '4', '--epochs', '2']
    text = run_tool(*command, '--dry-run').out
    config = out / 'config.py'
    assert str(config) in text and 'images are few' in text
    assert not list(out.glob('*.pth'))
    run(sys.executable, f'tools/{command[0]}', *command[1:])
    assert '# 4 x 1 x 1 = 4 images per step: --batch.' in config.read_text()
    # 10 images // 4 = 2 iterations, twice.
    state = torch.load(out / 'epoch_2.pth', weights_only=False)
    assert state['message_hub']['runtime_info']['iter'] == 3
    assert '--out' in run_tool(*command, code=2).err
    written = config.read_text()
    config.write_text(written.replace('max_epochs=2', 'max_epochs=3'))
    with pytest.raises(ValueError, match='config.py'):
        Plan(str(folder), str(out), batch=4, epochs=2).write()
    run(sys.executable, f'tools/{command[0]}', *command[1:], '--resume')
    assert (out / 'epoch_3.pth').exists()


@pytest.mark.slow
def test_from_python(folder, tmp_path):
    """In this process, with weights to start from."""
    weights = IBOTViT(ARCH, img_size=48, patch_size=8)
    torch.save(weights.state_dict(), tmp_path / 'vit.pth')
    with isolated():
        last = ibot_mm.pretrain(
            str(folder), str(tmp_path / 'run'), batch=4, epochs=1,
            init=str(tmp_path / 'vit.pth'), num_heads=ARCH['num_heads'])
    assert last == tmp_path / 'run' / 'epoch_1.pth' and last.is_file()
    assert list(last.parent.glob('epoch_1_backbone-*.pth'))
