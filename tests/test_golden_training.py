"""Replay three training steps of the official code through the Runner.

Model, optimizer wrapper, hooks and schedulers are those of a real run; losses,
gradients, parameters, momentum and centres are compared with what the official
code wrote.
"""

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch.utils.data import DataLoader, Dataset

import ibot_mm
from ibot_mm.datasets import PretrainSampler, multi_crop_collate
from ibot_mm.engine import PretrainOptimWrapper
from ibot_mm.registry import MODELS

from . import golden

CASES = {
    'shared': dict(shared_head=True, norm_last_layer=False),
    'semi_shared': dict(shared_head=False, norm_last_layer=True),
}
STEPS = 3


class GoldenCrops(Dataset):
    """The stored crops, two batches of 4 an epoch, from the third step on."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index) -> dict:
        step = min(2 * index.epoch + index // 4, STEPS - 1)
        image = index % 4

        def crop(i):
            x = golden.load('inputs')[f'step{step}/crop{i}'][image]
            return x.astype(np.float32).transpose(1, 2, 0)

        return dict(
            global_crops=[crop(0), crop(1)],
            local_crops=[crop(2), crop(3), crop(4)],
            masks=np.stack([
                golden.load('inputs')[f'step{step}/mask{i}'][image]
                for i in (0, 1)
            ]))


class Recorder(Hook):
    """Keep what the official run stored, then end the training."""

    priority = 'VERY_LOW'

    def __init__(self) -> None:
        self.losses, self.rates, self.decays = [], [], []
        self.centers, self.patch_centers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.param_groups
        self.rates.append([group['lr'] for group in groups])
        self.decays.append([group['weight_decay'] for group in groups])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.losses.append([
            outputs[key].item() for key in ('loss', 'loss_cls', 'loss_patch')
        ])
        self.centers.append(runner.model.head.center.clone())
        self.patch_centers.append(runner.model.head.patch_center.clone())
        if runner.iter + 1 == STEPS:
            self.state = {
                k: v.clone()
                for k, v in runner.model.state_dict().items()
            }
            optimizer = runner.optim_wrapper.optimizer
            self.adam_steps = {
                name: int(optimizer.state[p]['step'])
                for name, p in runner.model.named_parameters()
                if p in optimizer.state
            }
            raise KeyboardInterrupt  # the remaining steps have no reference


def config(case: str, work_dir) -> Config:
    """The published recipe, cut down to the sizes of the reference run."""
    settings = golden.meta(f'train_{case}_final')
    args, arch = settings['args'], settings['model']
    cfg = Config.fromfile(
        ibot_mm.config_path(
            'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'))
    prototypes = args['out_dim']
    cfg.merge_from_dict(
        dict(
            work_dir=str(work_dir),
            model=dict(
                # All views of a kind together, the order of the official
                # sums: the noise that Adam amplifies (below) depends on it.
                views_per_pass=None,
                data_preprocessor=dict(mean=None, std=None, to_rgb=False),
                backbone=dict(
                    arch=dict(
                        _delete_=True,
                        embed_dims=arch['embed_dim'],
                        num_layers=arch['depth'],
                        num_heads=arch['heads'],
                        feedforward_channels=4 * arch['embed_dim']),
                    img_size=arch['img'],
                    patch_size=arch['patch'],
                    drop_path_rate=0.),
                neck=dict(
                    in_channels=48,
                    hidden_channels=64,
                    bottleneck_channels=32,
                    num_prototypes=prototypes,
                    **CASES[case]),
                head=dict(num_prototypes=prototypes),
                teacher_neck=dict(shared_head=True)),
            optim_wrapper=dict(
                dtype='float32', optimizer=dict(lr=args['lr'] * 4 / 256)),
            train_cfg=dict(max_epochs=args['epochs']),
            default_hooks=dict(
                teacher_ema=dict(momentum=args['momentum_teacher']),
                teacher_temperature=dict(
                    warmup_epochs=args['warmup_teacher_temp_epochs'])),
        ))
    cfg.param_scheduler[0].warmup = args['warmup_epochs']
    return cfg


@pytest.fixture(scope='module', params=list(CASES))
def run(request, tmp_path_factory):
    """(case, recorder, gradients of step 0) of a replayed run."""
    case = request.param
    cfg = config(case, tmp_path_factory.mktemp(case))
    dataset = GoldenCrops()
    runner = Runner(
        model=cfg.model,
        work_dir=cfg.work_dir,
        train_dataloader=DataLoader(
            dataset,
            batch_size=4,
            sampler=PretrainSampler(dataset, shuffle=False, seed=0),
            collate_fn=multi_crop_collate),
        train_cfg=cfg.train_cfg,
        optim_wrapper=cfg.optim_wrapper,
        param_scheduler=cfg.param_scheduler,
        default_hooks=cfg.default_hooks,
        default_scope='mmpretrain',
        experiment_name=f'golden_{case}')
    model = runner.model
    init = f'train_{case}_init'
    student = golden.model_weights(init, 'student0/')
    if CASES[case]['shared_head']:
        student = {k: v for k, v in student.items() if 'last_layer2' not in k}
    model.load_state_dict(student, strict=False)
    model.reset_teacher()
    # Weights are in place: the runner must not draw new ones.
    model.init_weights = lambda: None
    recorder = Recorder()
    runner.register_hook(recorder)

    gradients = {}
    clip = PretrainOptimWrapper._clip_grad

    def spy(wrapper):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradients.setdefault(name, parameter.grad.clone())
        clip(wrapper)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainOptimWrapper, '_clip_grad', spy)
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return case, recorder, gradients


def test_teacher_starts_as_the_official_one(run):
    case, _, _ = run
    model = MODELS.build(config(case, '.').model)
    student = golden.model_weights(f'train_{case}_init', 'student0/')
    if CASES[case]['shared_head']:
        student = {k: v for k, v in student.items() if 'last_layer2' not in k}
    missing, unexpected = model.load_state_dict(student, strict=False)
    assert not unexpected
    assert all(name.startswith(('teacher.', 'head.')) for name in missing)
    model.reset_teacher()
    expected = golden.model_weights(f'train_{case}_init', 'teacher0/')
    actual = model.teacher.state_dict()
    assert {k for k in expected if 'last_layer2' not in k} == set(actual)
    for name, value in actual.items():
        assert torch.equal(value, expected[name]), name


def test_losses(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    expected = np.stack(
        [final[k] for k in ('loss', 'cls_loss', 'patch_loss')], axis=1)
    np.testing.assert_allclose(recorder.losses, expected, atol=1e-5, rtol=0)


def test_gradients_of_the_first_step(run):
    case, _, gradients = run
    expected = golden.model_weights(f'train_{case}_init', 'grad0/')
    assert set(gradients) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            gradients[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_schedules_of_the_run(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    for index in range(STEPS):
        np.testing.assert_allclose(
            recorder.rates[index], final['lr'][index], rtol=1e-9)
        np.testing.assert_allclose(
            recorder.decays[index], [final['wd'][index], 0.], rtol=1e-9)


def test_centers(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    for ours, official in ((recorder.centers, 'center_after'),
                           (recorder.patch_centers, 'center2_after')):
        np.testing.assert_allclose(
            torch.stack(ours).numpy(),
            final[official].reshape(STEPS, -1),
            atol=2e-5,
            rtol=0)


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_parameters_after_three_steps(run, side):
    case, recorder, _ = run
    prefix = '' if side == 'student' else 'teacher.'
    gradients = golden.model_weights(f'train_{case}_init', 'grad0/')
    expected = golden.model_weights(f'train_{case}_final', f'{side}3/')
    compared = 0
    for name, value in expected.items():
        if prefix + name not in recorder.state:
            # A shared head is stored under both names.
            assert 'last_layer2' in name
            assert torch.equal(
                value, expected[name.replace('last_layer2', 'last_layer')])
            continue
        difference = (recorder.state[prefix + name] - value).abs()
        # Adam divides a gradient by its own size, so an element whose gradient
        # is rounding noise, such as those of the keys' bias, moves by noise.
        noise = gradients[name].abs() < 1e-7 if name in gradients else (
            torch.zeros_like(value, dtype=torch.bool))
        if not name.endswith('attn.qkv.bias'):
            assert noise.sum() <= 5, name
        assert (difference[noise] < 2e-4).all(), name
        assert difference[~noise].max() < 2e-5, name
        compared += 1
    assert compared >= 36


def test_frozen_last_layer_counts_no_steps(run):
    case, recorder, _ = run
    settings = golden.meta(f'train_{case}_final')
    counts = settings['adam_step_counter_after_3_steps']
    head = {
        k.replace('head.', 'neck.'): v
        for k, v in counts.items() if 'head.' in k
    }
    for name, count in head.items():
        assert recorder.adam_steps[name] == count, name
    assert sorted(recorder.adam_steps.values()) == sorted(counts.values())
