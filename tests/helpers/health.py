"""What a health hook needs of a run."""

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
