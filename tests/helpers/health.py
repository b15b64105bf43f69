"""What a health hook needs of a run."""

import json
import math

import torch
from mmengine.logging import MessageHub

from ibot_mm.engine.token_statistics import NAMES, TokenStatistics

from .builders import build_model


class HealthRunner:
    """The parts of a runner that ``TrainingHealthHook`` reads."""

    rank = 0
    max_iters = 1000

    def __init__(self, work_dir):
        self.work_dir = str(work_dir)
        self.model = build_model()
        self.message_hub = MessageHub(f'health_{id(self)}')
        self.iter = 0


class GivenEntropies(TokenStatistics):
    """Statistics whose entropies are set, as fractions of log K (40)."""

    cls = patch = 0.5

    def compute(self):
        values = dict.fromkeys(NAMES, torch.tensor(0.))
        values['entropy_cls'] = torch.tensor(self.cls * math.log(40))
        values['entropy_patch'] = torch.tensor(
            math.nan if self.patch is None else self.patch * math.log(40))
        return values


def write_log(work_dir, lines, patience=500, interval=50, num_prototypes=256,
              max_epochs=20):
    """A work directory with the log and config of a pre-training."""
    folder = work_dir / '20250101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'config.py').write_text(f'''
model = dict(head=dict(type='ibot_mm.IBOTHead',
                       num_prototypes={num_prototypes}))
train_cfg = dict(max_epochs={max_epochs})
default_hooks = dict(training_health=dict(
    type='ibot_mm.TrainingHealthHook', interval={interval},
    patience={patience!r}))
''')
    (folder / 'scalars.json').write_text('\n'.join(map(json.dumps, lines)))
    return work_dir


def log_line(iteration, cls=0.5, patch=0.5, used=0.5, count=256, **more):
    """A line of the log; entropies as fractions of log K."""
    return {
        'loss': 9.0, 'loss_patch': 4.0, 'kl_cls': 0.5, 'kl_patch': 0.5,
        'entropy_cls': cls * math.log(count),
        'entropy_patch': patch * math.log(count),
        'prototypes_cls': used, 'prototypes_patch': used,
        'iter': iteration, 'step': iteration, **more}
