"""A training run of one second for tests of saving and resuming."""

from itertools import count

import torch
from mmengine.config import Config
from mmengine.evaluator import BaseMetric
from mmengine.hooks import Hook
from mmengine.model import BaseModel
from mmengine.runner import Runner
from torch import nn
from torch.utils.data import Dataset

import ibot_mm.engine  # noqa: F401  (registers)

EPOCH = 6  # iterations
_names = map('tiny_run_{}'.format, count())


class Numbers(Dataset):
    """Two samples per iteration."""

    def __len__(self) -> int:
        return 2 * EPOCH

    def __getitem__(self, index: int) -> dict:
        return dict(inputs=torch.full((4, ), float(index)))


class TinyModel(BaseModel):
    """A linear layer and 100 kB of ballast."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 2)
        self.register_buffer('ballast', torch.rand(25_000))

    def forward(self, inputs, data_samples=None, mode='loss'):
        output = self.layer(inputs)
        return dict(loss=output.square().mean()) if mode == 'loss' else output


class Scores(BaseMetric):
    """Returns predefined results.

    Args:
        values: Dicts of metrics, one per validation.
    """

    def __init__(self, values: list) -> None:
        super().__init__()
        self.values = list(values)

    def process(self, data_batch, data_samples) -> None:
        self.results.append(0)

    def compute_metrics(self, results) -> dict:
        return self.values.pop(0)


class At(Hook):
    """Call a function at a point of training.

    Args:
        point: Name of a hook method.
        step: Iteration (epoch if the point is per epoch), from 0.
        action: Function to call with the runner.
        priority: Priority of the hook.
    """

    def __init__(self, point: str, step: int, action,
                 priority: str = 'HIGH') -> None:
        self.priority = priority

        def act(runner, *args, **kwargs):
            now = runner.epoch if 'epoch' in point else runner.iter
            if now == step:
                action(runner)

        setattr(self, point, act)


def build_runner(work_dir, *hooks, epochs=3, by_epoch=True, checkpoint=None,
                 interruption=None, scores=None, workers=0, accumulation=1,
                 resume=False, load_from=None, wrapper=None,
                 **changes) -> Runner:
    """Build the runner of a tiny training run.

    Args:
        work_dir: Work directory.
        *hooks: Additional hooks.
        epochs: Number of epochs.
        by_epoch: Whether the loop counts epochs.
        checkpoint: Settings of the checkpoint hook.
        interruption: Settings of ``InterruptionHook``; None for no such hook.
        scores: Metrics of the validation after each epoch.
        workers: Number of DataLoader workers.
        accumulation: Iterations per optimizer step.
        resume, load_from: As in the Runner.
        wrapper: Config of the model wrapper.
        **changes: Other settings of the Runner.
    """
    loader = dict(
        batch_size=2,
        num_workers=workers,
        sampler=dict(
            type='DefaultSampler' if by_epoch else 'InfiniteSampler',
            shuffle=True),
        collate_fn=dict(type='default_collate'),
        dataset=Numbers())
    if by_epoch:
        train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=epochs)
    else:
        train_cfg = dict(
            type='IterBasedTrainLoop',
            max_iters=epochs * EPOCH,
            val_interval=EPOCH)
    default_hooks = dict(
        timer=None,
        logger=None,
        checkpoint=dict(
            dict(type='ibot_mm.SafeCheckpointHook', interval=1),
            by_epoch=by_epoch,
            **(checkpoint or {})))
    if interruption is not None:
        default_hooks['interruption'] = dict(
            type='ibot_mm.InterruptionHook', **interruption)
    validation = {}
    if scores is not None:
        validation = dict(
            val_cfg=dict(),
            val_dataloader=dict(
                loader, sampler=dict(type='DefaultSampler', shuffle=False)),
            val_evaluator=[Scores(scores)])
    torch.manual_seed(0)
    return Runner(
        model=TinyModel(),
        work_dir=str(work_dir),
        train_dataloader=loader,
        train_cfg=train_cfg,
        optim_wrapper=dict(
            type='ibot_mm.PretrainOptimWrapper',
            accumulative_counts=accumulation,
            optimizer=dict(type='AdamW', lr=0.01)),
        param_scheduler=[dict(type='ExponentialLR', gamma=0.9,
                              by_epoch=False)],
        default_hooks=default_hooks,
        custom_hooks=list(hooks),
        randomness=dict(seed=0),
        experiment_name=next(_names),
        default_scope='mmengine',
        resume=resume,
        load_from=load_from and str(load_from),
        cfg=Config(dict(model_wrapper_cfg=wrapper) if wrapper else {}),
        **validation,
        **changes)


def log_of(work_dir) -> str:
    """Text of all logs of a work dir."""
    return ''.join(p.read_text() for p in sorted(work_dir.glob('*/*.log')))


def checkpoints(work_dir) -> list:
    """Names of all checkpoints, including partially written ones."""
    return sorted(p.name for p in work_dir.glob('*.pth*'))
