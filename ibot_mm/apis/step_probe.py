"""Time and memory of training steps, measured before a training."""

import time
from typing import NamedTuple

import torch
from mmengine.config import Config, ConfigDict
from mmengine.device import get_device
from mmengine.optim import build_optim_wrapper
from mmengine.registry import DefaultScope

from ibot_mm.datasets.collate import multi_crop_collate
from ibot_mm.registry import DATASETS, MODELS

# Images; on a GPU so many that it is busy.
BATCHES = dict(cpu=(4, 8), cuda=(8, 32))


class StepProbe(NamedTuple):
    """Measurements of one process.

    Attributes:
        image_seconds: Time of a step that grows with its images, per image.
        fixed_seconds: Time of a step for optimizer and teacher.
        load_seconds: Time to load and crop an image, in one process.
        image_bytes: Memory of a GPU per image; 0 on a CPU.
        fixed_bytes: Memory of a GPU for weights and optimizer.
    """

    image_seconds: float
    fixed_seconds: float
    load_seconds: float
    image_bytes: float = 0.
    fixed_bytes: float = 0.


def line_through(sizes: tuple[int, int], values: list[float]
                 ) -> tuple[float, float]:
    """Growth per image, and rest, of values for both batches.

    Args:
        sizes: Images of the small and the large batch.
        values: Of both.
    """
    small, large = values
    # Other work on the machine must not make it 0.
    growth = max((large - small) / (sizes[1] - sizes[0]),
                 large / sizes[1] / 4)
    return growth, max(large - growth * sizes[1], 0.)


def probe_step(cfg: Config) -> StepProbe:
    """Run training steps on two small batches of the images.

    Args:
        cfg: Config of the pre-training; the model starts from random weights.
    """
    device = get_device()
    sizes = BATCHES.get(device, BATCHES['cpu'])
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        dataset = DATASETS.build(cfg.train_dataloader.dataset)
        model = MODELS.build(cfg.model).to(device).train()
        wrapper = build_optim_wrapper(
            model, ConfigDict(cfg.optim_wrapper, accumulative_counts=1))
    start = time.perf_counter()
    samples = [dataset[i % len(dataset)] for i in range(max(sizes))]
    load_seconds = (time.perf_counter() - start) / len(samples)
    seconds, peaks = [], []
    for size in sizes:
        batch = multi_crop_collate(samples[:size])
        batch.pop('bad_files', None)
        # The first ones compile, and make the optimizer's moments.
        for _ in range(3 if device == 'cuda' else 2):
            if device == 'cuda':
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            start = time.perf_counter()
            model.train_step(batch, wrapper)
            if device == 'cuda':
                torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
        if device == 'cuda':
            peaks.append(torch.cuda.max_memory_allocated())
    del model, wrapper
    if device == 'cuda':
        torch.cuda.empty_cache()
    return StepProbe(*line_through(sizes, seconds), load_seconds,
                     *(line_through(sizes, peaks) if peaks else ()))
