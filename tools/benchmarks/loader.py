"""Images per second of a config's data loader, by number of workers.

Nothing but the loader runs. The first batches, which all workers prepare at
the same time, are not counted.

    python tools/benchmarks/loader.py CONFIG --workers 8 12 16
"""

import argparse
import json
import os
import time
from itertools import chain, repeat
from pathlib import Path

import torch
from mmengine.config import Config, DictAction
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmengine.utils.dl_utils import set_multi_processing

import ibot_mm  # noqa: F401  (registers)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config')
    parser.add_argument('--workers', nargs='+', type=int, default=[8, 12, 16])
    parser.add_argument('--seconds', type=float, default=8.,
                        help='to measure each number for')
    parser.add_argument('--json', type=Path, help='file for the results')
    parser.add_argument('--cfg-options', nargs='+', action=DictAction,
                        default={}, metavar='KEY=VALUE',
                        help='override config settings')
    return parser.parse_args()


def rate(cfg: dict, workers: int, seconds: float) -> float:
    """Images per second of a loader with some workers."""
    loader = Runner.build_dataloader(
        dict(cfg, num_workers=workers, persistent_workers=workers > 0,
             pin_memory=torch.cuda.is_available()), seed=0)
    batches = chain.from_iterable(repeat(loader))  # epoch after epoch
    for _ in range(max(2 * workers, 1)):
        next(batches)
    images, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < seconds:
        images += len(next(batches)['img_paths'])
    return images / taken


def main() -> None:
    """Measure all numbers of workers and print the table."""
    args = parse_args()
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(args.cfg_options)
    MMLogger.get_instance('mmengine', log_level='ERROR')
    init_default_scope(cfg.default_scope)
    set_multi_processing(**cfg.env_cfg.mp_cfg)
    print(f'{len(os.sched_getaffinity(0))} CPUs, batch '
          f'{cfg.train_dataloader.batch_size}\n'
          '| workers | images per second |\n|---|---|')
    rates = {}
    for workers in args.workers:
        rates[workers] = rate(cfg.train_dataloader, workers, args.seconds)
        print(f'| {workers} | {rates[workers]:.0f} |', flush=True)
    if args.json:
        args.json.write_text(json.dumps(rates))


if __name__ == '__main__':
    main()
