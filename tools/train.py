"""Train a model with a config file."""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from mmengine.config import Config, ConfigDict
from torch.distributed.elastic.multiprocessing.errors import record

import ibot_mm  # noqa: F401  (checks the installation first)
from ibot_mm.checkpoints.for_mmengine import use_restricted_loader
from ibot_mm.checkpoints.load import TRUST
from ibot_mm.checkpoints.pretrained import require_checkpoint
from ibot_mm.checkpoints.resume import (
    ResumePoint,
    latest_checkpoint,
    require_same_on_all_ranks,
    verify_checkpoint,
)
from ibot_mm.checkpoints.unread import pretrained_cfg
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)
from ibot_mm.distributed.launch import prepare_launch
from ibot_mm.engine.config_check import check_config, explained_config_errors
from ibot_mm.engine.console_log import build_runner
from ibot_mm.engine.work_dir import archive_run, require_unused


def parse_args() -> argparse.Namespace:
    """Command line of ``tools/train.py``, as in MMPretrain."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('--work-dir', help='where logs and checkpoints go')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        help='continue from the given checkpoint, or without a value from '
        'the latest one in the work dir that is not damaged (if there is '
        'none, start)')
    parser.add_argument(
        '--trust-checkpoint',
        action='store_true',
        help='let checkpoints run code when they are read, and do not verify '
        'their checksums')
    parser.add_argument(
        '--fresh-start',
        action='store_true',
        help='start over in a work dir that holds a run: its checkpoints '
        'move to <work dir>/earlier_<time>')
    parser.add_argument(
        '--pretrained',
        metavar='CHECKPOINT',
        help='checkpoint, or https address, for every part of the model that '
        "the config starts from one (init_cfg of type 'Pretrained'), and for "
        'the backbone of a pre-training')
    parser.add_argument(
        '--amp',
        nargs='?',
        const='bfloat16',
        choices=['bfloat16', 'float16'],
        help='run the forward pass in this precision (bfloat16 without a '
        'value)')
    parser.add_argument(
        '--no-validate', action='store_true', help='skip validation')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate by (GPUs x batch x accumulation) / '
        'auto_scale_lr.base_batch_size')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='settings that replace those of the config, e.g. '
        'train_dataloader.batch_size=32 model.backbone.drop_path_rate=0.2')
    parser.add_argument(
        '--trial',
        nargs='?',
        type=int,
        const=20,
        metavar='N',
        help='run only N iterations (20 without a value) and a short '
        'validation, and save nothing, to see whether everything works')
    parser.add_argument(
        '--verbose',
        action='store_true',
        help='show environment, config and hooks on the console, too, not '
        'only in the log file')
    parser.add_argument(
        '--no-check',
        action='store_true',
        help='neither look for misspelled settings nor explain the errors '
        'that they cause')
    parser.add_argument(
        '--launcher',
        choices=['none', 'pytorch', 'slurm', 'mpi'],
        default='none',
        help='how the processes were started')
    # torch.distributed.launch passes --local_rank, torchrun an environment
    # variable.
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    if args.trial is not None and (
            args.trial < 1 or args.resume or args.fresh_start):
        parser.error('--trial takes 1 iteration or more, and neither --resume '
                     'nor --fresh-start')
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def enable_auto_scale_lr(cfg: ConfigDict) -> None:
    """Switch on the linear rule, with accumulated batches counted in.

    MMEngine compares GPUs x batch with ``base_batch_size``, so the latter is
    divided by the accumulation.

    Raises:
        ValueError: The config does not say what batch its rate is for.
    """
    rule = cfg.get('auto_scale_lr') or {}
    if 'base_batch_size' not in rule:
        raise ValueError(
            '--auto-scale-lr needs auto_scale_lr.base_batch_size in the '
            f'config {cfg.filename}.')
    accumulation = cfg.optim_wrapper.get('accumulative_counts', 1)
    cfg.auto_scale_lr = dict(
        base_batch_size=rule['base_batch_size'] / accumulation, enable=True)


def pretrained_parts(cfg: ConfigDict) -> list[ConfigDict]:
    """Parts of a model that start from a checkpoint."""
    found = [cfg] if pretrained_cfg(cfg) else []
    for value in cfg.values():
        if isinstance(value, dict):
            found += pretrained_parts(value)
    return found


def set_resume(cfg: Config, args: argparse.Namespace) -> ResumePoint:
    """Set the checkpoint that the run resumes from, if any.

    Raises:
        CheckpointError: It is damaged, or all of them are.
        WorkDirError: The work dir holds a run that is not continued.
    """
    if not args.resume:
        if not (args.fresh_start or args.trial or cfg.get('resume')):
            require_unused(cfg.work_dir)
        return ResumePoint(None)
    if args.fresh_start:
        raise ValueError('--resume and --fresh-start contradict each other: '
                         'give one of them.')
    if args.resume == 'auto':
        found = latest_checkpoint(cfg.work_dir)
    else:
        if not Path(args.resume).resolve().is_relative_to(
                Path(cfg.work_dir).resolve()):
            require_unused(cfg.work_dir)
        verify_checkpoint(args.resume)
        found = ResumePoint(args.resume)
    if found.path:
        cfg.resume, cfg.load_from = True, found.path
    return found


def set_pretrained(cfg: Config, args: argparse.Namespace) -> None:
    """Set the checkpoint that parts of the model start from.

    A run that is resumed, or has ``load_from``, needs none. Missing files
    raise here already, since reading the data can take minutes.

    Raises:
        ValueError: No part of the model takes one.
        CheckpointError: There is no such file.
    """
    use_restricted_loader()  # for parts of other packages
    pretraining = cfg.model.get('type') in ('ibot_mm.IBOT', 'IBOT')
    if args.pretrained and pretraining and not pretrained_cfg(
            cfg.model.backbone):
        # It may hold options, such as resize_positions.
        options = cfg.model.backbone.get('init_cfg') or {}
        cfg.model.backbone.init_cfg = dict(options, type='Pretrained')
    parts = pretrained_parts(cfg.model)
    if args.pretrained and not parts:
        raise ValueError(f'--pretrained: no part of the model in {args.config}'
                         ' starts from a checkpoint; did you mean load_from?')
    for part in parts:
        init = pretrained_cfg(part)
        if args.pretrained:
            init.checkpoint = args.pretrained
        elif cfg.get('load_from') and not init.get('checkpoint'):
            part.init_cfg = None if part.init_cfg is init else [
                entry for entry in part.init_cfg if entry is not init]
            continue
        require_checkpoint(init.get('checkpoint'), part.type)


def set_trial(cfg: Config, args: argparse.Namespace) -> None:
    """Set up a short run that saves nothing but its log."""
    if not args.work_dir:
        cfg.work_dir = str(Path('work_dirs/trial') / Path(args.config).stem)
    hooks = cfg.setdefault('default_hooks', ConfigDict())
    hooks.checkpoint = None
    for name in ('interruption', 'pictures'):  # they would save
        hooks.pop(name, None)
    for name in ('logger', 'runtime_info'):
        if 'interval' in (hooks.get(name) or {}):
            hooks[name].interval = max(args.trial // 4, 1)
    cfg.custom_hooks = [*(cfg.get('custom_hooks') or []), dict(
        type='ibot_mm.TrialHook', iterations=args.trial)]


def merge_args(cfg: Config, args: argparse.Namespace) -> ResumePoint:
    """Apply the command line to the config, and check the settings.

    Returns:
        The checkpoint to resume from.

    Raises:
        ConfigError: Settings are misspelled.
    """
    cfg.launcher = args.launcher
    if args.work_dir:
        cfg.work_dir = args.work_dir
    elif not cfg.get('work_dir'):
        cfg.work_dir = str(Path('work_dirs') / Path(args.config).stem)
    if args.trial:
        set_trial(cfg, args)
    if args.amp:
        cfg.optim_wrapper.dtype = args.amp
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    # What follows reads settings and checkpoints.
    if not args.no_check:
        check_config(cfg)
    if args.auto_scale_lr:
        enable_auto_scale_lr(cfg)
    resumed = set_resume(cfg, args)
    set_pretrained(cfg, args)
    return resumed


@report_errors
@record  # torchrun then reports the error of the process that failed first
def main() -> None:
    """Read command line and config, then train."""
    args = parse_args()
    if args.trust_checkpoint:
        os.environ[TRUST] = '1'
    cfg = read_config(args.config, args.cfg_options)
    resumed = merge_args(cfg, args)
    prepare_launch(cfg)
    with nullcontext() if args.no_check else explained_config_errors(cfg):
        train(cfg, args, resumed)


def train(cfg: Config, args: argparse.Namespace, resumed: ResumePoint) -> None:
    """Build the runner and train."""
    runner = build_runner(cfg, cfg.get('runner_type', 'Runner'), args.verbose)
    require_same_on_all_ranks(resumed.path)
    if resumed.warning:
        runner.logger.warning(resumed.warning)
    if args.fresh_start and runner.rank == 0:
        archive_run(runner.work_dir, f'earlier_{runner.timestamp}')
    runner.train()


if __name__ == '__main__':
    main()
