"""A training step on a batch of random crops, to be measured by step.py."""

import argparse
import json
import random
import resource
import tempfile
import time
from collections import Counter
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import torch
from backbone_memory import default_device, device_name
from dense_step import dense_loss
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import MODELS, TRANSFORMS, init_default_scope
from torch.utils.data import DataLoader

from ibot_mm import config_path
from ibot_mm.datasets import multi_crop_collate
from ibot_mm.engine import PretrainOptimWrapperConstructor

RECIPES = dict(
    small='ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py',
    base='ibot/ibot_vit-base-p16_16xb64-multicrop-400e_in1k.py',
    large='ibot/ibot_vit-large-p16_16xb64-multicrop-250e_in1k.py')


def read_config(args: argparse.Namespace) -> Config:
    """The config with the command line's settings."""
    cfg = Config.fromfile(args.config or config_path(RECIPES[args.arch]))
    if args.views:
        cfg.model.views_per_pass = None if args.views == 'none' else tuple(
            map(int, args.views.split(',')))
    if args.prototypes:
        cfg.model.neck.num_prototypes = args.prototypes
        cfg.model.head.num_prototypes = args.prototypes
    cfg.model.compile_blocks = dict() if args.compile else None
    if args.no_tf32:
        cfg.optim_wrapper.allow_tf32 = False
    if args.dtype:
        cfg.optim_wrapper.dtype = args.dtype
    if args.batch:
        cfg.train_dataloader.batch_size = args.batch
    parser = argparse.ArgumentParser()
    parser.add_argument('--set', nargs='*', action=DictAction)
    cfg.merge_from_dict(parser.parse_args(['--set', *args.cfg_options]).set)
    return cfg


def make_batch(cfg: Config, size: int, pin_memory: bool) -> dict:
    """Random crops and drawn masks with the shapes of the config."""
    crops, masks = (TRANSFORMS.build(step) for step in
                    cfg.train_dataloader.dataset.pipeline[-2:])
    channels = cfg.model.backbone.get('in_channels', 3)
    rng = np.random.default_rng(0)
    samples = []
    for i in range(size):
        sample = dict(rng=random.Random(i), epoch=10**6)
        for key in ('global_crops', 'local_crops'):
            sample[key] = [
                rng.integers(0, 256, (*view.size, channels), dtype=np.uint8)
                for view in getattr(crops, key) for _ in range(view.num)
            ]
        samples.append(masks.transform(sample))
    return next(iter(DataLoader(
        samples, size, collate_fn=multi_crop_collate, pin_memory=pin_memory)))


def select_attention(name: str) -> None:
    """Disable all kernels of scaled_dot_product_attention but one."""
    for kernel in ('flash', 'cudnn', 'mem_efficient', 'math'):
        enable = getattr(torch.backends.cuda, f'enable_{kernel}_sdp', None)
        if enable is not None:  # PyTorch 2.1 has none of cuDNN
            enable(kernel.endswith(name))


def count_kernels(trace: dict) -> dict:
    """Number, time and names of the kernels in a trace of Chrome's format.

    Returns:
        ``kernels``, ``kernel_seconds`` and the seconds of the ``top_kernels``.
    """
    events = [event for event in trace['traceEvents']
              if event.get('cat') == 'kernel']
    seconds: Counter[str] = Counter()
    for event in events:
        seconds[event['name'][:120]] += event['dur'] / 1e6
    return dict(kernels=len(events), kernel_seconds=sum(seconds.values()),
                top_kernels=dict(seconds.most_common(15)))


def without_samples(loss, model, inputs, data_samples=None):
    """``dense_loss`` with the arguments of ``IBOT.loss``."""
    return loss(model, inputs)


class TrainingStep:
    """Forward, backward, optimizer, teacher and centers of a batch.

    Args:
        args: Command line of ``step.py``.
        dense: Whether to compute the losses as the official code does.
    """

    def __init__(self, args: argparse.Namespace, dense: bool) -> None:
        MMLogger.get_instance('mmengine', log_level='ERROR')
        self.device = args.device or default_device()
        self.cfg = cfg = read_config(args)
        torch.backends.cudnn.benchmark = cfg.env_cfg.cudnn_benchmark
        if args.sdpa:
            select_attention(args.sdpa)
        torch.manual_seed(0)
        init_default_scope('mmpretrain')
        self.model = MODELS.build(cfg.model)
        self.model.init_weights()
        self.model.to(self.device).train()
        self.wrapper = PretrainOptimWrapperConstructor({
            k: v for k, v in cfg.optim_wrapper.items()
            if k not in ('constructor', 'accumulative_counts')
        })(self.model)
        # Pinned, as by the data loader.
        self.batch = make_batch(cfg, cfg.train_dataloader.batch_size,
                                self.device == 'cuda')
        self.momentum = cfg.default_hooks.teacher_ema.momentum
        if dense:
            self.model.loss = partial(without_samples, dense_loss, self.model)

    def settings(self) -> dict:
        """What is measured, and on what."""
        return dict(
            device=device_name(self.device),
            torch=torch.__version__,
            config=Path(self.cfg.filename).stem,
            batch=self.cfg.train_dataloader.batch_size,
            dtype=self.cfg.optim_wrapper.dtype,
            tf32=torch.backends.cuda.matmul.allow_tf32,
            views=self.model.views_per_pass,
            prototypes=self.cfg.model.neck.num_prototypes,
            compile=self.cfg.model.compile_blocks is not None)

    def losses(self) -> dict[str, float]:
        """Losses of the batch in eval mode."""
        with torch.no_grad(), self.wrapper.optim_context(self.model):
            data = self.model.data_preprocessor(self.batch)
            self.model.eval()
            losses = self.model.loss(data['inputs'])
            self.model.train()
        self.model.head.discard_centers()
        self.model.head.center.value.zero_()
        self.model.head.patch_center.value.zero_()
        return {name: float(value) for name, value in losses.items()}

    def synchronize(self) -> None:
        """Wait for the device."""
        if self.device == 'cuda':
            torch.cuda.synchronize()

    def run(self, steps: int, batch: dict | None = None) -> float:
        """Mean time of some steps in seconds."""
        self.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            self.model.train_step(batch or self.batch, self.wrapper)
            self.model.update_teacher(self.momentum)
            self.model.head.update_centers()
        self.synchronize()
        return (time.perf_counter() - start) / steps

    def warm_up(self, steps: int) -> None:
        """Compile, choose kernels and fill the cache of the allocator."""
        self.run(steps)
        if self.device == 'cuda':
            torch.cuda.reset_peak_memory_stats()

    def peak(self) -> float:
        """Peak memory of the device (or the process, on CPUs) in MiB."""
        if self.device == 'cuda':
            return torch.cuda.max_memory_allocated() / 2**20
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

    def kernels(self) -> dict:
        """Kernels of a step, and how long launching them takes.

        The latter is a step of two images: the GPU is done with them sooner
        than the process with launching.
        """
        if self.device != 'cuda':
            return {}
        few = make_batch(self.cfg, 2, True)
        self.run(3, few)
        launching = self.run(10, few)
        with torch.profiler.profile() as profile:
            self.run(1)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, 'trace.json')
            profile.export_chrome_trace(str(path))
            trace = json.loads(path.read_text())
        return dict(launch_seconds=launching, **count_kernels(trace))

    def flops(self) -> float | None:
        """FLOPs of a step's matrix products, counted by PyTorch.

        In eager mode, to which PyTorch can return since 2.6; None before.
        """
        if not hasattr(torch.compiler, 'set_stance'):
            return None
        from torch.nn.attention import SDPBackend, sdpa_kernel
        from torch.utils.flop_counter import FlopCounterMode
        torch.compiler.set_stance('force_eager')
        # The counter does not know the fused attention of CPUs.
        attention = (nullcontext() if self.device == 'cuda' else
                     sdpa_kernel(SDPBackend.MATH))
        with FlopCounterMode(display=False) as counter, attention:
            self.run(1)
        return float(counter.get_total_flops())
