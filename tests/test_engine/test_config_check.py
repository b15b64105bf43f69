"""Misspelt settings and wrong types are named; good configs pass."""

import sys
import textwrap
import time
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, HOOKS, TRANSFORMS
from mmengine.runner import Runner

from ibot_mm import config_path
from ibot_mm.engine.config_check import ConfigError, check_config
from ibot_mm.registry import MODELS
from tests.test_tools.test_train import run

ROOT = Path(__file__).parents[2]
QUICKSTART = ROOT / 'configs' / 'ibot' / 'ibot_vit-quickstart_1xb64_shapes.py'
BENCHMARKS = ROOT / 'configs' / 'benchmarks'
DETECTION = (BENCHMARKS / 'detection' /
             'mask-rcnn_vit-quickstart-ibot-pre_fpn_shapes.py')
SEGMENTATION = (BENCHMARKS / 'segmentation' /
                'vit-quickstart-ibot-pre_upernet_shapes.py')
FINETUNE = (BENCHMARKS / 'classification' / 'finetune' /
            'ibot_vit-base-p16_finetune-8xb128-100e_in1k.py')
OURS = sorted(p for p in (ROOT / 'configs').rglob('*.py')
              if '_base_' not in p.parts)
HOSTS = '''
mmpretrain::barlowtwins/barlowtwins_resnet50_8xb256-coslr-300e_in1k.py
mmpretrain::davit/davit-tiny_4xb256_in1k.py
mmpretrain::densecl/densecl_resnet50_8xb32-coslr-200e_in1k.py
mmpretrain::efficientnet/efficientnet-b4_8xb32_in1k.py
mmpretrain::mae/mae_vit-base-p16_8xb512-amp-coslr-300e_in1k.py
mmpretrain::mobileone/mobileone-s1_8xb32_in1k.py
mmpretrain::mocov3/mocov3_resnet50_8xb512-amp-coslr-300e_in1k.py
mmpretrain::simmim/simmim_swin-base-w6_8xb256-amp-coslr-100e_in1k-192px.py
mmpretrain::spark/spark_sparse-resnet50_8xb512-amp-coslr-800e_in1k.py
mmpretrain::swav/swav_resnet50_8xb32-mcrop-coslr-200e_in1k-224px-96px.py
mmpretrain::swin_transformer/swin-base_16xb64_in1k.py
mmpretrain::twins/twins-svt-base_8xb128_in1k.py
mmpretrain::vision_transformer/vit-base-p32_64xb64_in1k.py
mmdet::atss/atss_r50_fpn_1x_coco.py
mmdet::boxinst/boxinst_r50_fpn_ms-90k_coco.py
mmdet::carafe/mask-rcnn_r50_fpn-carafe_1x_coco.py
mmdet::dcnv2/faster-rcnn_r50-mdconv-c3-c5_fpn_1x_coco.py
mmdet::detr/detr_r50_8xb2-150e_coco.py
mmdet::fast_rcnn/fast-rcnn_r50_fpn_1x_coco.py
mmdet::fpg/retinanet_r50_fpg_crop640_50e_coco.py
mmdet::grounding_dino/grounding_dino_r50_scratch_8xb2_1x_coco.py
mmdet::lad/lad_r50-paa-r101_fpn_2xb8_coco_1x.py
mmdet::mask2former_vis/mask2former_r50_8xb2-8e_youtubevis2021.py
mmdet::ms_rcnn/ms-rcnn_r50_fpn_1x_coco.py
mmdet::pascal_voc/ssd300_voc0712.py
mmdet::pisa/ssd512_pisa_coco.py
mmdet::soft_teacher/soft-teacher_faster-rcnn_r50-caffe_fpn_180k_semi-0.1-coco.py
mmdet::solo/solo_r50_fpn_3x_coco.py
mmdet::v3det/dino-4scale_r50_8xb2_sample1e-3_v3det_36e.py
mmdet::yolact/yolact_r50_8xb8-55e_coco.py
mmdet::yolo/yolov3_d53_8xb8-320-273e_coco.py
mmseg::beit/beit-base_upernet_8xb2-160k_ade20k-640x640.py
mmseg::cgnet/cgnet_fcn_4xb4-60k_cityscapes-680x680.py
mmseg::dpt/dpt_vit-b16_8xb2-160k_ade20k-512x512.py
mmseg::hrnet/fcn_hr18_4xb4-80k_isaid-896x896.py
mmseg::icnet/icnet_r50-d8_4xb2-80k_cityscapes-832x832.py
mmseg::knet/knet-s3_r50-d8_fcn_8xb2-adamw-80k_ade20k-512x512.py
mmseg::mask2former/mask2former_r50_8xb2-160k_ade20k-512x512.py
mmseg::pidnet/pidnet-l_2xb6-120k_1024x1024-cityscapes.py
mmseg::poolformer/fpn_poolformer_s36_8x4_512x512_40k_ade20k.py
'''.split()  # noqa: E501


@cache
def _load(path):
    return Config.fromfile(path)


def load(path):
    """A config for the test to change."""
    return deepcopy(_load(path))


def problems(path, **changes):
    """Sentences about a config with some settings changed, by dotted key."""
    host = dict(detection='mmdet', segmentation='mmseg').get(path.parent.name)
    if host:
        pytest.importorskip(host)
    cfg = load(path)
    cfg.merge_from_dict(changes)
    return complaints(cfg)


def complaints(cfg):
    try:
        check_config(cfg)
    except ConfigError as error:
        return str(error).splitlines()
    return []


def no_setting(path, kind, meant):
    name = path.rpartition('.')[2]
    return (f'{path}: {kind} has no setting "{name}"; did you mean '
            f'"{meant}"?')


# ------------------------------------------------------------- good configs


@pytest.mark.parametrize('path', OURS, ids=lambda p: p.stem)
def test_every_config_passes(path):
    assert problems(path) == []


@pytest.mark.parametrize('name', HOSTS)
def test_configs_of_the_hosts_pass(name):
    pytest.importorskip(name.split('::')[0])
    assert complaints(Config.fromfile(config_path(name))) == []


def test_a_check_takes_little_time():
    cfg = load(QUICKSTART)
    check_config(cfg)  # imports
    start = time.perf_counter()
    check_config(cfg)
    assert time.perf_counter() - start < 0.5


def test_a_config_is_not_changed():
    cfg = load(QUICKSTART)
    text = cfg.pretty_text
    check_config(cfg)
    assert cfg.pretty_text == text


def test_classes_functions_and_objects_pass_as_types():
    from mmengine.hooks import IterTimerHook

    from ibot_mm.datasets import PretrainDataset, multi_crop_collate
    from ibot_mm.engine.hooks import TeacherEMAHook
    changes = {
        'train_dataloader.dataset.type': PretrainDataset,
        'train_dataloader.collate_fn': multi_crop_collate,
        'default_hooks.teacher_ema.type': TeacherEMAHook,
        'default_hooks.timer': IterTimerHook(),
    }
    assert problems(QUICKSTART, **changes) == []
    changes['train_dataloader.dataset.extensionz'] = ('.jpg', )
    assert problems(QUICKSTART, **changes) == [
        no_setting('train_dataloader.dataset.extensionz', 'PretrainDataset',
                   'extensions')]


def test_variables_of_any_name_pass():
    names = dict.fromkeys(
        'tta_model tta_pipeline img_scales backend_args dataset_type '
        'data_root vis_backends train_pipeline text_cfg vae_cfg emb_cfg '
        'data color loader bank_dataloader eval_dataloader '
        'train_dataloader2 optim_wrapper_1 word_dir2 schedule mode '
        'num_classes max_epochs base_lr custom_hook_list'.split(), 1)
    names['eval_cfg'] = names['models'] = names['syncbn'] = dict(type='BN')
    assert problems(QUICKSTART, **names) == []


# ------------------------------------------------------------ misspelt keys


@pytest.mark.parametrize('name, meant', [
    ('train_dataloder', 'train_dataloader'),
    ('train_datalaoder', 'train_dataloader'),
    ('trian_dataloader', 'train_dataloader'),
    ('traindataloader', 'train_dataloader'),
    ('default_hook', 'default_hooks'),
    ('optim_wraper', 'optim_wrapper'),
    ('optimwrapper', 'optim_wrapper'),
    ('param_schedulers', 'param_scheduler'),
    ('val_evalutor', 'val_evaluator'),
    ('auto_scale_rl', 'auto_scale_lr'),
    ('randomnes', 'randomness'),
    ('find_unused_paramters', 'find_unused_parameters'),
    ('custom_import', 'custom_imports'),
    ('load_form', 'load_from'),
    ('resum', 'resume'),
])
def test_top_level(name, meant):
    assert problems(QUICKSTART, **{name: 'x'}) == [
        f'{name}: a run has no setting "{name}"; did you mean "{meant}"?']


def test_variables_that_the_config_uses():
    hook = dict(type='EmptyCacheHook')
    cfg = load(QUICKSTART)
    cfg.custom_hook = hook
    cfg.custom_hooks = [hook]
    cfg.train_dataloaders = cfg.train_dataloader
    assert complaints(cfg) == []
    cfg.custom_hooks = []
    assert complaints(cfg) == [
        'custom_hook: a run has no setting "custom_hook"; did you mean '
        '"custom_hooks"?']


def test_runners():
    class MyRunner(Runner):
        def __init__(self, model, work_dir, train_dataloaders=None):
            pass

    cfg = load(QUICKSTART)
    cfg.train_dataloaders = [1]
    cfg.runner_type = MyRunner
    assert complaints(cfg) == []
    cfg.runner_type = 'FlexibelRunner'
    assert complaints(cfg) == [
        'runner_type: there is no "FlexibelRunner" in the registry RUNNERS '
        'of mmpretrain; did you mean "FlexibleRunner"?',
        'train_dataloaders: a run has no setting "train_dataloaders"; did '
        'you mean "train_dataloader"?']
    cfg.runner_type = 'FlexibleRunner'
    cfg.pop('train_dataloaders')
    cfg.strategy = dict(type='DDPStrategy', sync_bnn='torch')
    assert complaints(cfg) == [
        no_setting('strategy.sync_bnn', 'DDPStrategy', 'sync_bn')]


@pytest.mark.parametrize('changes', [
    {'modle.backbone.drop_path_rate': 0.2},
    {'models.backbone.drop_path_rate': 0.2},
    {'trian_cfg.max_epochs': 3},
    {'vall_cfg.k': [3]},
])
def test_short_names_at_the_top(changes):
    name, = (key.split('.')[0] for key in changes)
    found, = problems(QUICKSTART, **changes)
    assert found.startswith(f'{name}: a run has no setting "{name}"')


@pytest.mark.parametrize('path, kind, meant', [
    ('model.backbone.drop_path_rte', 'IBOTViT', 'drop_path_rate'),
    ('model.views_per_pas', 'IBOT', 'views_per_pass'),
    ('model.neck.num_prototype', 'IBOTNeck', 'num_prototypes'),
    ('model.head.student_tmp', 'IBOTHead', 'student_temp'),
    ('model.data_preprocessor.to_rbg', 'MultiCropDataPreprocessor', 'to_rgb'),
    ('model.koleo.loss_wieght', 'KoLeoLoss', 'loss_weight'),
    ('model.teacher_neck.shared_haed', 'IBOTNeck', 'shared_head'),
    ('train_dataloader.batchsize', 'DataLoader', 'batch_size'),
    ('train_dataloader.persistent_worker', 'DataLoader',
     'persistent_workers'),
    ('train_dataloader.sampler.shufle', 'PretrainSampler', 'shuffle'),
    ('train_dataloader.dataset.data_prefx', 'PretrainDataset',
     'data_prefix'),
    ('train_dataloader.dataset.pipeline.1.global_crop', 'MultiCrop',
     'global_crops'),
    ('train_dataloader.dataset.pipeline.1.local_crops.0.szie', 'CropView',
     'size'),
    ('train_dataloader.dataset.pipeline.2.generator.ration',
     'BlockMaskGenerator', 'ratio'),
    ('val_dataloader.dataset.pipeline.1.interpolatoin', 'Resize',
     'interpolation'),
    ('val_dataloader.dataset.class_prefix', 'LabeledDataset',
     'classes_prefix'),
    ('val_cfg.temprature', 'KNNValLoop', 'temperature'),
    ('val_cfg.bank_dataloader.num_worker', 'DataLoader', 'num_workers'),
    ('val_cfg.bank_dataloader.dataset.subst', 'LabeledDataset', 'subset'),
    ('train_cfg.max_epoch', 'PretrainLoop', 'max_epochs'),
    ('optim_wrapper.optimiser', 'PretrainOptimWrapper', 'optimizer'),
    ('optim_wrapper.optimizer.wieght_decay', 'AdamW', 'weight_decay'),
    ('param_scheduler.0.warmpu', 'WarmupCosineLR', 'warmup'),
    ('param_scheduler.0.by_epcoh', 'WarmupCosineLR', 'by_epoch'),
    ('param_scheduler.1.convert_to_iter_base', 'CosineWeightDecay',
     'convert_to_iter_based'),
    ('default_hooks.teacher_ema.momentun', 'TeacherEMAHook', 'momentum'),
    ('default_hooks.checkpoint.intervall', 'SafeCheckpointHook', 'interval'),
    ('default_hooks.logger.intervall', 'LoggerHook', 'interval'),
    ('default_hooks.timer.prioriy', 'IterTimerHook', 'priority'),
    ('visualizer.vis_backend', 'UniversalVisualizer', 'vis_backends'),
    ('visualizer.vis_backends.0.save_dirr', 'LocalVisBackend', 'save_dir'),
    ('randomness.sed', 'set_random_seed', 'seed'),
])
def test_settings_of_a_pretraining(path, kind, meant):
    assert problems(QUICKSTART, **{path: 1}) == [
        no_setting(path, kind, meant)]


@pytest.mark.parametrize('path, kind, meant', [
    ('train_dataloader.dataset.fliter_cfg', 'CheckedCocoDataset',
     'filter_cfg'),
    ('train_dataloader.batch_sampler.typ', 'AspectRatioBatchSampler',
     'type'),
    ('model.neck.1.in_chanels', 'FPN', 'in_channels'),
    ('model.rpn_head.anchor_generator.scale', 'AnchorGenerator', 'scales'),
    ('model.roi_head.bbox_head.loss_cls.use_sigmod', 'CrossEntropyLoss',
     'use_sigmoid'),
    ('model.roi_head.bbox_head.num_clases', 'Shared2FCBBoxHead',
     'num_classes'),
    ('model.backbone.init_cfg.chekpoint', 'PretrainedInit', 'checkpoint'),
    ('val_evaluator.metrc', 'CocoMetric', 'metric'),
    ('train_cfg.max_epoch', 'EpochBasedTrainLoop', 'max_epochs'),
])
def test_settings_of_a_detector(path, kind, meant):
    assert problems(DETECTION, **{path: 1}) == [
        no_setting(path, kind, meant)]


def test_settings_of_a_segmentor():
    assert problems(
        SEGMENTATION, **{
            'train_dataloader.dataset.img_sufix': '.png',
            'model.decode_head.loss_decode.los_weight': 1.0,
            'model.test_cfg.mode': 'whole'
        }) == [
            no_setting('model.decode_head.loss_decode.los_weight',
                       'CrossEntropyLoss', 'loss_weight'),
            no_setting('train_dataloader.dataset.img_sufix',
                       'CheckedSegDataset', 'img_suffix')]


def test_init_cfg_takes_what_load_pretrained_takes():
    changes = {f'model.backbone.init_cfg.{key}': value for key, value in dict(
        type='Pretrained', side='student', inflate=True).items()}
    assert problems(FINETUNE, **changes) == []


def test_settings_that_nothing_reads():
    assert problems(
        QUICKSTART, **{
            'env_cfg.cudnn_benchmrk': True,
            'auto_scale_lr.base_batchsize': 64,
            'optim_wrapper.constructor': None,
            'optim_wrapper.clip_grad.max_nrom': 3.,
            'optim_wrapper.paramwise_cfg.norm_decay_mul': 0.,
            'optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mul': 0.,
        }) == [
            f'{path}: nothing reads "{path.rpartition(".")[2]}"; did you '
            f'mean "{meant}"?' for path, meant in (
                ('optim_wrapper.clip_grad.max_nrom', 'max_norm'),
                ('optim_wrapper.paramwise_cfg.norm_decay_mul',
                 'norm_decay_mult'),
                ('optim_wrapper.paramwise_cfg.custom_keys.norm.lr_mul',
                 'lr_mult'),
                ('auto_scale_lr.base_batchsize', 'base_batch_size'),
                ('env_cfg.cudnn_benchmrk', 'cudnn_benchmark'))]


def test_hooks():
    assert problems(QUICKSTART, **{
        'default_hooks.chekpoint.interval': 1,
        'default_hooks.teacher_em': None,
        'default_hooks.sampler_seed': None,
        'custom_hooks': [dict(type='EMAHok')],
    }) == [
        'custom_hooks.0.type: there is no "EMAHok" in the registry HOOKS of '
        'mmpretrain; did you mean "EMAHook"?',
        'default_hooks.chekpoint: there is no such hook in the config; did '
        'you mean "checkpoint"?',
        "default_hooks.teacher_em: None leaves out MMEngine's own hooks "
        'only; did you mean "teacher_ema"?']
    cfg = load(QUICKSTART)
    del cfg.default_hooks.checkpoint['type']
    assert complaints(cfg) == ['default_hooks.checkpoint: it has no type']


def test_train_loop_has_a_type_or_by_epoch():
    found, = problems(QUICKSTART, **{'train_cfg.by_epoch': True})
    assert found.startswith('train_cfg.by_epoch: ')
    changes = {'train_cfg': dict(by_epoch=False, max_epochs=3)}
    cfg = load(QUICKSTART)
    cfg.train_cfg = dict(by_epoch=False, max_iters=3)
    assert complaints(cfg) == []
    cfg.train_cfg = changes['train_cfg']
    assert complaints(cfg) == [
        'train_cfg.max_epochs: IterBasedTrainLoop has no setting '
        '"max_epochs"']


# ------------------------------------------------------------------- types


@pytest.mark.parametrize('path, name, registry, meant', [
    ('model', 'ibot_mm.IBot', 'MODELS', 'ibot_mm.IBOT'),
    ('model.backbone', 'IBOTViT', 'MODELS', 'ibot_mm.IBOTViT'),
    ('model.backbone', 'VisonTransformer', 'MODELS', 'VisionTransformer'),
    ('train_dataloader.dataset', 'CustomDatset', 'DATASETS',
     'CustomDataset'),
    ('train_dataloader.sampler', 'ibot_mm.PretainSampler', 'DATA_SAMPLERS',
     'ibot_mm.PretrainSampler'),
    ('train_dataloader.collate_fn', 'ibot_mm.multi_crop_colate', 'FUNCTIONS',
     'ibot_mm.multi_crop_collate'),
    ('val_dataloader.dataset.pipeline.1', 'Resise', 'TRANSFORMS', 'Resize'),
    ('train_cfg', 'ibot_mm.PretrainLop', 'LOOPS', 'ibot_mm.PretrainLoop'),
    ('optim_wrapper', 'AmpOptimWraper', 'OPTIM_WRAPPERS', 'AmpOptimWrapper'),
    ('optim_wrapper.optimizer', 'AdmaW', 'OPTIMIZERS', 'AdamW'),
    ('param_scheduler.0', 'CosineAnealingLR', 'PARAM_SCHEDULERS',
     'CosineAnnealingLR'),
    ('visualizer.vis_backends.1', 'TensorbordVisBackend', 'VISBACKENDS',
     'TensorboardVisBackend'),
])
def test_types_that_do_not_exist(path, name, registry, meant):
    assert problems(QUICKSTART, **{f'{path}.type': name}) == [
        f'{path}.type: there is no "{name}" in the registry {registry} of '
        f'mmpretrain; did you mean "{meant}"?']


def test_a_type_like_no_other():
    found, = problems(QUICKSTART, **{'model.neck.type': 'Qqqqqqqq'})
    assert found.startswith('model.neck.type: there is no "Qqqqqqqq" ')
    assert 'custom_imports' in found
    # Training does not build it.
    assert problems(FINETUNE, **{'test_evaluator.type': 'Qqqqqqqq'}) == []
    assert problems(QUICKSTART, **{'model.neck.type': 3}) == [
        'model.neck.type: 3 is no name']


def test_constructor_of_the_optimizer_wrapper():
    name = 'ibot_mm.LayerDecayOptimWraperConstructor'
    found, = problems(QUICKSTART, **{'optim_wrapper.constructor': name})
    assert found.startswith(f'optim_wrapper.constructor: there is no "{name}"')
    assert 'did you mean "ibot_mm.LayerDecayOptimWrapperConstr' in found


def test_scope_of_a_part(monkeypatch):
    """`_scope_` and a scope in the name lead to other registries."""
    pytest.importorskip('mmdet')
    neck = dict(type='FPN', in_channels=[1], out_channels=1, num_outs=1)
    known = dict(neck, type='mmdet.FPN')
    scoped = dict(neck, _scope_='mmdet', in_chanels=3)
    cfg = load(QUICKSTART)
    for neck, expected in (
            (known, []),
            (scoped, [no_setting('model.neck.in_chanels', 'FPN',
                                 'in_channels')])):
        cfg.model.neck = neck
        assert complaints(cfg) == expected


# ------------------------------------------------------------- wrong values


@pytest.mark.parametrize('path, value, text', [
    ('train_dataloader.batch_size', '32',
     '"32" is a str; DataLoader takes an int or None'),
    ('train_dataloader.batch_size', True,
     'True is a bool; DataLoader takes an int or None'),
    ('val_cfg.bank_dataloader.num_workers', None,
     'it is None; DataLoader takes an int'),
    ('model.backbone.drop_path_rate', 'a',
     '"a" is a str; IBOTViT takes a float'),
    ('model.backbone.with_cp', 'yes', '"yes" is a str; IBOTViT takes a bool'),
    ('model.backbone.out_indices', 'last',
     '"last" is a str; IBOTViT takes an int or a sequence of int'),
    ('model.neck.num_prototypes', 3.5,
     '3.5 is a float; IBOTNeck takes an int'),
    ('model.views_per_pass', 3,
     '3 is an int; IBOT takes a sequence of int or None'),
    ('train_dataloader.dataset.pipeline.1.global_crops.0.flip', True,
     'True is a bool; CropView takes a float'),
    ('val_cfg.k', 20, '20 is an int; KNNValLoop takes a sequence of int'),
    ('val_cfg.k', [20, 'x'],
     "[20, 'x'] is a list; KNNValLoop takes a sequence of int"),
    ('train_cfg.max_epochs', '3', '"3" is a str; PretrainLoop takes an int'),
    ('train_cfg.max_epochs', 3.5,
     '3.5 is a float; PretrainLoop takes an int'),
    ('optim_wrapper.optimizer.lr', '1e-3x',
     '"1e-3x" is a str; AdamW takes a float or None'),
    ('optim_wrapper.clip_grad', 3.0,
     '3.0 is a float; PretrainOptimWrapper takes a dict or None'),
    ('default_hooks.checkpoint.interval', '1',
     '"1" is a str; SafeCheckpointHook takes an int'),
    ('randomness.seed', 'a',
     '"a" is a str; set_random_seed takes an int or None'),
])
def test_wrong_types(path, value, text):
    assert problems(QUICKSTART, **{path: value}) == [f'{path}: {text}']


@pytest.mark.parametrize('path, value', [
    ('model.backbone.drop_path_rate', 0),
    ('model.backbone.with_cp', 1),
    ('model.backbone.out_indices', (1, 3)),
    ('model.backbone.init_cfg', [dict(type='TruncNormal', layer='Linear')]),
    ('model.views_per_pass', None),
    ('val_cfg.k', (20, )),
    ('train_cfg.max_epochs', 1e2),
    ('optim_wrapper.optimizer.lr', 1),
    ('optim_wrapper.optimizer.betas', [0.9, 0.95]),
    ('randomness.seed', None),
    ('val_dataloader.dataset.data_prefix',
     dict(_delete_=True, img_path='val')),
])
def test_values_that_will_do(path, value):
    assert problems(QUICKSTART, **{path: value}) == []


def test_all_problems_are_listed():
    found = problems(
        QUICKSTART, **{
            'train_dataloder.batch_size': 3,
            'model.backbone.drop_path_rte': 0.1,
            'train_dataloader.batch_size': '32',
            'val_dataloader.dataset.pipeline.1.type': 'Resise',
        })
    assert [line.split(':')[0] for line in found] == [
        'train_dataloder', 'model.backbone.drop_path_rte',
        'train_dataloader.batch_size',
        'val_dataloader.dataset.pipeline.1.type']


# --------------------------------------------------------- what is not known


class Base:
    def __init__(self, width, depth=1):
        pass


class Forwards(Base):
    def __init__(self, *args, heads=1, **kwargs):
        self.extra = kwargs.pop('extra', None)
        super().__init__(*args, **kwargs)


class Keeps(Base):
    def __init__(self, heads=1, **kwargs):
        super().__init__(1)
        self.later = kwargs


@pytest.mark.parametrize('kind, key, guess', [
    (Forwards, 'widht', 'width'),
    (Forwards, 'exta', 'extra'),
    (Forwards, 'width', None),
    (Forwards, 'extra', None),
    (Keeps, 'widht', None),
    (Keeps, 'haeds', None),
])
def test_keyword_arguments_are_followed_to_the_base(kind, key, guess):
    path = f'model.neck.{key}'
    assert problems(QUICKSTART, **{
        'model.neck': dict(_delete_=True, type=kind, **{key: 1})
    }) == ([no_setting(path, kind.__name__, guess)] if guess else [])


def test_parts_with_builders_of_their_own_are_not_judged():
    """Theirs take more keys, and their types need not be registered."""
    cfg = load(FINETUNE)
    cfg.model.update(
        anything=dict(type='value', x=1),
        train_cfg=dict(nms=dict(type='soft_nms', x=1)))
    cfg.model.backbone.update(
        norm_cfg=dict(type='LN', eps=1e-6, requires_grad=True))
    assert [c for c in complaints(cfg) if 'model.anything:' not in c] == []


def test_registered_by_the_user():
    """What custom_imports has registered is known."""
    assert problems(QUICKSTART, **{
        'model.neck.type': 'NeckOfTheUser'})[0].startswith('model.neck.type')
    for registry in (MODELS, HOOKS, DATASETS, TRANSFORMS):
        registry.register_module(name='NeckOfTheUser', module=Base)
    try:
        found = problems(QUICKSTART, **{
            'model.neck': dict(_delete_=True, type='ibot_mm.NeckOfTheUser',
                               widht=3)})
    finally:
        for registry in (MODELS, HOOKS, DATASETS, TRANSFORMS):
            registry.module_dict.pop('NeckOfTheUser')
    assert found == [no_setting('model.neck.widht', 'Base', 'width')]


# ------------------------------------------------------------- command line


@pytest.mark.parametrize('script', ['train.py', 'test.py'])
def test_tools_end_in_the_sentence(tmp_path, script):
    args = ['nowhere.pth'] if script == 'test.py' else []
    result = run(script, QUICKSTART, *args, '--work-dir', tmp_path / 'run',
                 '--cfg-options', 'model.backbone.drop_path_rte=0.1',
                 check=False)
    assert result.returncode != 0
    assert result.stderr.splitlines()[-1].endswith(
        'ConfigError: ' + no_setting('model.backbone.drop_path_rte',
                                     'IBOTViT', 'drop_path_rate'))
    assert not (tmp_path / 'run').exists()  # nothing was built


def test_own_code_of_custom_imports_is_checked(tmp_path):
    (tmp_path / 'my_neck.py').write_text(textwrap.dedent('''
        from ibot_mm.models import IBOTNeck
        from mmengine.registry import MODELS

        @MODELS.register_module()
        class MyNeck(IBOTNeck):
            def __init__(self, colour='red', **kwargs):
                super().__init__(**kwargs)
    '''))
    path = tmp_path / 'mine.py'
    path.write_text(textwrap.dedent(f'''
        _base_ = [{str(QUICKSTART)!r}]
        custom_imports = dict(imports=['ibot_mm', 'my_neck'])
        model = dict(neck=dict(type='MyNeck', color='blue', in_channel=3))
    '''))
    sys.path.insert(0, str(tmp_path))
    try:
        assert problems(path) == [
            no_setting('model.neck.color', 'MyNeck', 'colour'),
            no_setting('model.neck.in_channel', 'MyNeck', 'in_channels')]
    finally:
        sys.path.remove(str(tmp_path))


def test_configs_that_import_what_they_name(tmp_path):
    """MMEngine's other kind of config file."""
    path = tmp_path / 'lazy.py'
    path.write_text(textwrap.dedent('''
        from mmengine.dataset import DefaultSampler
        from mmengine.hooks import CheckpointHook
        from mmengine.runner import EpochBasedTrainLoop
        from torch.optim import AdamW

        from ibot_mm.datasets import LoadImage, PretrainDataset
        from ibot_mm.models import IBOT, IBOTViT

        model = dict(type=IBOT, backbone=dict(type=IBOTViT, arch='small'))
        train_dataloader = dict(
            batch_size=2,
            sampler=dict(type=DefaultSampler, shuffle=True),
            dataset=dict(type=PretrainDataset, data_prefix='train',
                         pipeline=[dict(type=LoadImage, color='color')]))
        optim_wrapper = dict(optimizer=dict(type=AdamW, lr=1e-3))
        train_cfg = dict(type=EpochBasedTrainLoop, max_epochs=3)
        default_hooks = dict(checkpoint=dict(type=CheckpointHook, interval=1))
    '''))
    assert problems(path) == []
    assert problems(path, **{
        'model.backbone.drop_path_rte': 0.1,
        'train_dataloader.dataset.pipeline.0.colour': 'color',
        'train_cfg.max_epochs': 'x',
    }) == [
        no_setting('model.backbone.drop_path_rte', 'IBOTViT',
                   'drop_path_rate'),
        no_setting('train_dataloader.dataset.pipeline.0.colour', 'LoadImage',
                   'color'),
        'train_cfg.max_epochs: "x" is a str; EpochBasedTrainLoop takes an int']
