"""Misspelt settings are named with their key; other settings pass."""

from itertools import count
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.registry import HOOKS, MODELS, RUNNERS
from torch import nn

from ibot_mm.engine import config_check
from ibot_mm.engine.config_check import ConfigError, check_config
from ibot_mm.models import IBOT
from tests.helpers.in_process import run_tool
from tests.helpers.launched import write_config

ROOT = Path(__file__).parents[2]
CONFIGS = sorted(path for path in (ROOT / 'configs').rglob('*.py')
                 if '_base_' not in path.parts)
numbers = count()


@pytest.fixture(scope='module')
def path(shapes, tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('config'), shapes)


@pytest.fixture
def load(path, tmp_path):
    """A config of a tiny training, changed by dotted key."""

    def load(**changes):
        cfg = Config.fromfile(path)
        cfg.merge_from_dict(changes)
        cfg.work_dir = str(tmp_path / 'run')
        cfg.experiment_name = f'config_check_{next(numbers)}'
        cfg.log_level = 'ERROR'
        return cfg

    return load


def train(cfg) -> None:
    with config_check.explained_config_errors(cfg):
        RUNNERS.build(cfg).train()


def assert_named(action, cfg, key: str, meant: str | None) -> None:
    """A sentence begins with the key and ends with the nearest name."""
    with pytest.raises(ConfigError) as raised:
        action(cfg)
    line, = str(raised.value).splitlines()
    assert line.startswith(f'{key}: ')
    assert line.endswith(f'"{meant}"?') if meant else '"' not in line


@pytest.mark.parametrize('config', CONFIGS, ids=lambda config: config.stem)
def test_shipped_configs_pass(config):
    needed = dict(detection='mmdet', segmentation='mmseg')
    if config.parent.name in needed:
        pytest.importorskip(needed[config.parent.name])
    check_config(Config.fromfile(config))


@pytest.mark.parametrize('name, meant', [
    ('train_dataloder', 'train_dataloader'),
    ('modle', 'model'),
    ('trian_cfg', 'train_cfg'),
    ('default_hook', 'default_hooks'),
    ('auto_scale_rl', 'auto_scale_lr'),
    ('find_unused_paramters', 'find_unused_parameters'),
    ('load_form', 'load_from'),
    ('resum', 'resume'),
    ('runner_typ', 'runner_type'),
    ('param_schedulers', 'param_scheduler'),
])
def test_keys_at_the_top(load, name, meant):
    assert_named(check_config, load(**{name: 'x'}), name, meant)


@pytest.mark.parametrize('key, meant', [
    ('default_hooks.chekpoint', 'checkpoint'),
    ('env_cfg.cudnn_benchmrk', 'cudnn_benchmark'),
    ('auto_scale_lr.base_batchsize', 'base_batch_size'),
    ('optim_wrapper.paramwise_cfg.norm_decay_mul', 'norm_decay_mult'),
    ('optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mul', 'lr_mult'),
])
def test_keys_that_are_read_one_by_one(load, key, meant):
    value = dict(interval=1) if 'hooks' in key else 1
    assert_named(check_config, load(**{key: value}), key, meant)


def test_variables_and_keys_of_other_readers_pass(load):
    variables = (
        'tta_pipeline img_scales backend_args dataset_type data_root loader '
        'train_pipeline text_cfg vae_cfg emb_cfg color bank_dataloader models '
        'eval_dataloader eval_cfg train_dataloader2 optim_wrapper_1 word_dir2 '
        'schedule num_classes max_epochs base_lr custom_hook_list').split()
    check_config(load(**dict.fromkeys(variables, 1), **{
        'env_cfg.my_own': 1,
        'optim_wrapper.paramwise_cfg.num_layers': 1,
        'optim_wrapper.paramwise_cfg.custom_keys.norm.scale': 1,
        'default_hooks.timer': None,
    }))
    hook = dict(type='EmptyCacheHook')
    check_config(load(custom_hook=hook, custom_hooks=[hook]))
    assert_named(check_config, load(custom_hook=hook, custom_hooks=[]),
                 'custom_hook', 'custom_hooks')


@pytest.mark.parametrize('key, meant', [
    ('model.backbone.drop_path_rte', 'drop_path_rate'),
    ('model.backbone.qqqqqqq', None),
    ('model.teacher_neck.shared_haed', 'shared_head'),
    ('model.koleo.loss_wieght', 'loss_weight'),
    ('train_dataloader.batchsize', 'batch_size'),
    ('train_dataloader.dataset.data_prefx', 'data_prefix'),
    ('train_dataloader.dataset.pipeline.1.local_crops.0.szie', 'size'),
    ('train_dataloader.dataset.pipeline.2.generator.ration', 'ratio'),
    ('val_dataloader.dataset.pipeline.1.interpolatoin', 'interpolation'),
    ('val_cfg.bank_dataloader.num_worker', 'num_workers'),
    ('val_cfg.views.num_veiws', 'num_views'),
    ('train_cfg.max_epoch', 'max_epochs'),
    ('optim_wrapper.optimizer.wieght_decay', 'weight_decay'),
    ('param_scheduler.0.warmpu', 'warmup'),
    ('default_hooks.logger.intervall', 'interval'),
    ('randomness.sed', 'seed'),
])
def test_unknown_keywords(load, key, meant):
    assert_named(train, load(**{key: 1}), key, meant)


@pytest.mark.parametrize('key, name, meant', [
    ('runner_type', 'FlexibelRunner', 'FlexibleRunner'),
    ('model.type', 'ibot_mm.IBot', 'ibot_mm.IBOT'),
    ('model.backbone.type', 'IBOTViT', 'ibot_mm.IBOTViT'),
    ('val_dataloader.dataset.pipeline.1.type', 'Resise', 'Resize'),
    ('train_cfg.type', 'ibot_mm.PretrainLop', 'ibot_mm.PretrainLoop'),
    ('optim_wrapper.optimizer.type', 'AdmaW', 'AdamW'),
    ('optim_wrapper.constructor', 'DefaultOptimWraperConstructor',
     'DefaultOptimWrapperConstructor'),
])
def test_unknown_types(load, key, name, meant):
    assert_named(train, load(**{key: name}), key, meant)


def test_classes_as_types():
    cfg = Config(dict(model=dict(type=nn.Linear, in_feature=2)))
    with pytest.raises(ConfigError, match='^model.in_feature: .*in_features"'):
        with config_check.explained_config_errors(cfg):
            MODELS.build(cfg.model)


def test_a_mistake_in_two_places(load):
    hook = dict(type='EmptyCacheHook', after_epoh=True)
    with pytest.raises(ConfigError) as raised:
        train(load(custom_hooks=[hook, hook]))
    assert isinstance(raised.value.__cause__, TypeError)
    first, second = str(raised.value).splitlines()
    assert first.startswith('custom_hooks.0.after_epoh: ')
    assert second.startswith('custom_hooks.1.after_epoh: ')


def wrong_call(*args, **kwargs):
    options = dict(cudnn_benchmark=1)  # the config sets another one
    nn.Linear(2, 2, **options)


def wrong_name(*args, **kwargs):
    raise KeyError('AdamW is not in the optimizer registry')


@HOOKS.register_module()
class WrongInit(Hook):
    def __init__(self):
        nn.Linear(2, 2, cudnn_benchmark=1)


@pytest.mark.parametrize('step, error', [
    (wrong_call, TypeError), (wrong_name, KeyError)])
def test_errors_of_the_training_pass_unchanged(load, monkeypatch, step, error):
    monkeypatch.setattr(IBOT, 'loss', step)
    with pytest.raises(error) as raised:
        train(load(**{'train_dataloader.num_workers': 0,
                      'train_dataloader.persistent_workers': False}))
    assert raised.traceback[-1].name == step.__name__


def test_errors_within_a_class_pass_unchanged(load):
    with pytest.raises(TypeError, match='cudnn_benchmark'):
        train(load(custom_hooks=[dict(type='WrongInit')]))


@pytest.mark.cli
@pytest.mark.parametrize('script', ['train.py', 'test.py'])
def test_tools_check_unless_told_not_to(path, tmp_path, script):
    checkpoint = tmp_path / 'empty.pth'
    torch.save(dict(state_dict={}), checkpoint)
    args = [script, path, *[checkpoint] * (script == 'test.py'),
            '--work-dir', tmp_path / 'run', '--cfg-options']
    ignored, wrong = 'train_dataloder.batch_size=3', 'model.neck.widht=3'
    with pytest.raises(ConfigError, match='^train_dataloder: '):
        run_tool(*args, ignored, wrong)
    assert not (tmp_path / 'run').exists()  # nothing was built
    with pytest.raises(ConfigError, match='^model.neck.widht: '):
        run_tool(*args, wrong)
    with pytest.raises(TypeError, match='widht'):
        run_tool(*args, ignored, wrong, '--no-check')
