"""Replay of three training steps of the official code with our Runner."""

import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

import ibot_mm
from ibot_mm.datasets import PretrainSampler, multi_crop_collate

from . import golden
from .builders import cls_loss

CASES = {
    'shared': dict(shared_head=True, norm_last_layer=False),
    'semi_shared': dict(shared_head=False, norm_last_layer=True),
}
STEPS = 3


class GoldenCrops(Dataset):
    """The stored crops: two batches of 4 per epoch, up to the third step."""

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
    """Record the values that the official run stored, then stop training."""

    priority = 'VERY_LOW'

    def __init__(self, steps: int = STEPS) -> None:
        self.steps = steps
        self.losses, self.rates, self.decays = [], [], []
        self.centers, self.patch_centers = [], []

    def before_train_iter(self, runner, batch_idx, data_batch=None):
        groups = runner.optim_wrapper.param_groups
        self.rates.append([group['lr'] for group in groups])
        self.decays.append([group['weight_decay'] for group in groups])

    def after_train_iter(self, runner, batch_idx, data_batch=None,
                         outputs=None):
        self.losses.append([
            value.item() for value in
            (outputs['loss'], cls_loss(outputs), outputs['loss_patch'])
        ])
        head = runner.model.head
        self.centers.append(head.center.value.clone())
        self.patch_centers.append(head.patch_center.value.clone())
        if runner.iter + 1 == self.steps:
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
    """The published recipe, reduced to the sizes of the reference run."""
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
                # All views of a kind in one pass, so that sums have the
                # official order: Adam amplifies rounding errors (see below).
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


def build_runner(case: str, cfg: Config, name: str, **kwargs) -> Runner:
    """Runner of a config from :func:`config` on the stored crops."""
    dataset = GoldenCrops()
    return Runner(
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
        experiment_name=f'{name}_{case}',
        **kwargs)


def start_weights(case: str) -> dict[str, Tensor]:
    """The student's weights before the first step."""
    student = golden.model_weights(f'train_{case}_init', 'student0/')
    if CASES[case]['shared_head']:
        student = {k: v for k, v in student.items() if 'last_layer2' not in k}
    return student


def load_start(case: str, model: nn.Module) -> None:
    """Load the initial weights of the official run into a model."""
    model.load_state_dict(start_weights(case), strict=False)
    model.reset_teacher()
    # The runner must not initialize the weights.
    model.init_weights = lambda: None


def compare_parameters(case: str, state: dict[str, Tensor],
                       side: str) -> None:
    """Assert that parameters equal the official ones after three steps.

    Args:
        case: Key of ``CASES``.
        state: State dict of the ``IBOT``.
        side: 'student' or 'teacher'.
    """
    prefix = '' if side == 'student' else 'teacher.'
    gradients = golden.model_weights(f'train_{case}_init', 'grad0/')
    expected = golden.model_weights(f'train_{case}_final', f'{side}3/')
    compared = 0
    for name, value in expected.items():
        if prefix + name not in state:
            # A shared head is stored under both names.
            assert 'last_layer2' in name
            assert torch.equal(
                value, expected[name.replace('last_layer2', 'last_layer')])
            continue
        difference = (state[prefix + name] - value).abs()
        # Adam normalizes gradients, so elements whose gradient is rounding
        # noise, such as the bias of the keys, are updated by noise.
        noise = gradients[name].abs() < 1e-7 if name in gradients else (
            torch.zeros_like(value, dtype=torch.bool))
        if side == 'student' and name.endswith('last_layer.weight_v'):
            # Frozen at first: its only gradient g follows from the official
            # update, lr g / (|g| + 1e-8) after the weight decay.
            lr, decay = (float(golden.load(f'train_{case}_final')[key][-1])
                         for key in ('lr', 'wd'))
            before = golden.model_weights(f'train_{case}_init',
                                          'student0/')[name]
            update = (value - before * (1 - lr * decay)).abs() / lr
            noise = update < 1e-7 / (1e-7 + 1e-8)
        if not name.endswith('attn.qkv.bias'):
            assert noise.sum() <= 5, name
        # Three updates of lr g / (|g| + 1e-8), lr 1e-3, g of about 1e-9.
        assert (difference[noise] < 3e-4).all(), name
        assert difference[~noise].max() < 2e-5, name
        compared += 1
    assert compared >= 36
