"""Configs: the published hyper-parameters, written out, and building."""

from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, TRANSFORMS

CONFIGS = Path(__file__).parents[2] / 'configs'
RECIPES = sorted((CONFIGS / 'ibot').glob('*.py'))


@pytest.fixture(scope='module')
def vit_small():
    return Config.fromfile(
        CONFIGS / 'ibot' /
        'ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py')


def test_model_of_vit_small(vit_small):
    model = vit_small.model
    assert (model.backbone.arch, model.backbone.patch_size,
            model.backbone.drop_path_rate) == ('small', 16, 0.1)
    neck = model.neck
    assert (neck.num_layers, neck.hidden_channels, neck.bottleneck_channels,
            neck.num_prototypes) == (3, 2048, 256, 8192)
    assert neck.shared_head is True and neck.norm_last_layer is False
    assert neck.get('norm_cfg') is None
    head = model.head
    assert (head.student_temp, head.center_momentum,
            head.patch_center_momentum) == (0.1, 0.9, 0.9)
    assert head.loss_weight_cls == head.loss_weight_patch == 1
    preprocessor = model.data_preprocessor
    assert [round(v / 255, 3) for v in preprocessor.mean
            ] == [0.485, 0.456, 0.406]
    assert [round(v / 255, 3) for v in preprocessor.std
            ] == [0.229, 0.224, 0.225]


def test_optimisation_of_vit_small(vit_small):
    wrapper = vit_small.optim_wrapper
    optimizer = wrapper.optimizer
    assert optimizer.type == 'AdamW' and optimizer.betas == (0.9, 0.999)
    assert optimizer.lr == 5e-4 * 1024 / 256
    assert vit_small.auto_scale_lr.base_batch_size == 1024
    assert optimizer.weight_decay == 0.04
    assert wrapper.clip_grad == dict(type='per_parameter', max_norm=3.0)
    lr, decay = vit_small.param_scheduler
    assert (lr.warmup, lr.eta_min, decay.eta_end) == (10, 1e-6, 0.4)
    assert lr.convert_to_iter_based and decay.convert_to_iter_based
    assert vit_small.train_cfg.max_epochs == 800
    assert vit_small.train_dataloader.batch_size == 64
    hooks = vit_small.default_hooks
    assert hooks.teacher_ema.momentum == 0.996
    temperature = hooks.teacher_temperature
    assert temperature.warmup_epochs == 30
    assert temperature.warmup_teacher_temp == 0.04
    assert temperature.teacher_temp == 0.07
    assert temperature.warmup_teacher_patch_temp == 0.04
    assert temperature.teacher_patch_temp == 0.07
    assert hooks.freeze_last_layer.epochs == 1


def test_augmentations_of_vit_small(vit_small):
    _, crops, masks = vit_small.train_dataloader.dataset.pipeline
    transform = TRANSFORMS.build(crops)
    views = transform.global_crops + transform.local_crops
    assert [v.num for v in views] == [1, 1, 10]
    assert [v.size for v in views] == [(224, 224)] * 2 + [(96, 96)]
    assert [v.scale for v in views] == [(0.25, 1.0)] * 2 + [(0.05, 0.25)]
    assert [v.blur_prob for v in views] == [1.0, 0.1, 0.5]
    assert [v.solarize_prob for v in views] == [0., 0.2, 0.]
    for view in views:
        spreads = [spread for *_, spread in view.jitter.operations]
        assert spreads == [0.4, 0.4, 0.2, 0.1]
        assert (view.flip, view.jitter_prob, view.grey_prob) == (0.5, 0.8,
                                                                 0.2)
        assert view.blur_sigma == (0.1, 2.0)
        assert view.ratio == (3 / 4, 4 / 3)
    mask = TRANSFORMS.build(masks)
    assert mask.patch_size == 16 and mask.start_epoch == 0
    assert mask.generator.ratio.choices == [(0, 0), (0.3, 0.2)]
    assert mask.generator.log_aspect == pytest.approx((-1.204, 1.204),
                                                      abs=1e-3)


@pytest.mark.parametrize('path', RECIPES, ids=lambda p: p.stem)
def test_recipes_build_and_open_with_their_launch_line(path):
    text = path.read_text()
    assert text.startswith('# Launch: ') and path.name in text
    assert 'Schedule: ' in text
    cfg = Config.fromfile(path)
    model = MODELS.build(cfg.model)
    assert model.head.center.shape == (cfg.model.neck.num_prototypes, )
    for step in cfg.train_dataloader.dataset.pipeline:
        assert TRANSFORMS.build(step) is not None
    assert DATASETS.get(cfg.train_dataloader.dataset.type) is not None
    for hook in ('teacher_ema', 'teacher_temperature', 'freeze_last_layer',
                 'bad_files'):
        assert hook in cfg.default_hooks
