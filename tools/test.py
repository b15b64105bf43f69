"""Evaluate a checkpoint with a config file."""

import argparse
import os
from contextlib import nullcontext
from pathlib import Path

from mmengine.config import Config

import ibot_mm  # noqa: F401  (checks the installation first)
from ibot_mm.checkpoints.for_mmengine import read_ahead
from ibot_mm.checkpoints.load import TRUST
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)
from ibot_mm.distributed.launch import prepare_launch
from ibot_mm.engine.config_check import (
    ConfigError,
    check_config,
    explained_config_errors,
)
from ibot_mm.engine.console_log import build_runner


def parse_args() -> argparse.Namespace:
    """Command line of ``tools/test.py``, as in MMPretrain."""
    parser = CommandParser(description=__doc__)
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument('--work-dir', help='where the log goes')
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='let the checkpoint run code when it is read, '
                        'and do not verify its checksums')
    parser.add_argument('--out', help='JSON file for the metrics')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation with tta_model and tta_pipeline of the '
        'config (MMSegmentation: several scales and flips)')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='settings that replace those of the config')
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
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def augment_test(cfg: Config) -> None:
    """Set up test-time augmentation, as MMSegmentation's ``tools/test.py``.

    Args:
        cfg: Config, changed in place.

    Raises:
        ConfigError: It lacks ``tta_model`` or ``tta_pipeline``.
    """
    if missing := [key for key in ('tta_model', 'tta_pipeline')
                   if not cfg.get(key)]:
        raise ConfigError(
            f'--tta: the config has no {" and no ".join(missing)}.')
    cfg.test_dataloader.dataset.pipeline = cfg.tta_pipeline
    # The Runner would give a top-level preprocessor to the outer model, which
    # replaces that of the inner one.
    module = {'data_preprocessor': cfg.get('data_preprocessor'), **cfg.model}
    cfg.model = dict(cfg.tta_model, module=module, data_preprocessor=None)


@report_errors
def main() -> None:
    """Build the runner and evaluate.

    A pre-training config has no test set: its validation of the teacher runs
    instead, by k-NN and the evaluators of the config.
    """
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    if not args.no_check:
        check_config(cfg)
    if args.tta:
        augment_test(cfg)
    if args.trust_checkpoint:
        os.environ[TRUST] = '1'
    read_ahead(args.checkpoint)  # before the data is read
    cfg.launcher = args.launcher
    cfg.work_dir = args.work_dir or cfg.get('work_dir') or str(
        Path('work_dirs') / Path(args.config).stem)
    cfg.load_from = args.checkpoint
    prepare_launch(cfg)
    with nullcontext() if args.no_check else explained_config_errors(cfg):
        runner = build_runner(cfg, verbose=args.verbose)
        # An empty test_cfg is a test loop too.
        metrics = runner.val() if cfg.get(
            'test_cfg') is None else runner.test()
    if args.out:
        from mmengine.fileio import dump
        dump(metrics, args.out)


if __name__ == '__main__':
    main()
