"""Convert an official iBOT checkpoint to this package.

    python tools/model_converters/ibot_to_mm.py checkpoint.pth ibot_mm.pth
    python tools/model_converters/ibot_to_mm.py checkpoint.pth ibot_mm.pth \
        --networks teacher
    python tools/model_converters/ibot_to_mm.py checkpoint.pth resume.pth \
        --config CONFIG
    python tools/train.py CONFIG --resume resume.pth

Full checkpoints become the state of ``IBOT`` (student, teacher, centers), for
``tools/test.py`` or ``load_from``; backbone-only ones become ``backbone.*``.

With the config of the pre-training that shall continue the file also gets
AdamW's state, the epoch, the iteration and the positions of the schedules.
Names and shapes must be those of the config's model. The run must have as
many iterations an epoch as the official one, which the tool prints: the same
total batch.
"""

import argparse
from typing import Any

import torch
from mmengine.config import Config

from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.official.resume import Continuation, continue_official
from ibot_mm.checkpoints.official.state_dict import from_official_checkpoint
from ibot_mm.command_line import CommandParser, ConfigOptions, report_errors


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='official checkpoint')
    parser.add_argument('target', help='file to write')
    parser.add_argument('--networks', nargs='+',
                        choices=['student', 'teacher'],
                        help='weights to take (default: both)')
    parser.add_argument('--config', help='pre-training that shall continue')
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions,
                        metavar='KEY=VALUE',
                        help='settings that replace those of the config')
    parser.add_argument('--epoch-length', type=int,
                        help='optimizer steps of an epoch of the official '
                        'run, where the file does not tell')
    args = parser.parse_args()
    if args.config and args.networks:
        parser.error('--config needs both networks: remove --networks.')
    if not args.config and (args.cfg_options or args.epoch_length):
        parser.error('--cfg-options and --epoch-length need --config.')
    return args


def describe(result: Continuation, args: argparse.Namespace) -> str:
    """What the user should know before the run continues."""
    config, target = args.config, args.target
    meta = result.checkpoint['meta']
    lines = [
        f'wrote {target}: weights, Adam state of '
        f'{len(result.checkpoint["optimizer"]["state"])} parameters, epoch '
        f'{meta["epoch"]}, iteration {meta["iter"]}',
        f'the run that continues must have {result.iterations} iterations an '
        'epoch'
    ]
    if result.official is not None:
        lines.append(
            f'learning rate and weight decay of the last iteration: '
            f'{result.official.lr:.6g} and {result.official.weight_decay:.6g}'
            f' in the file, {result.planned.lr:.6g} and '
            f'{result.planned.weight_decay:.6g} in the schedules of {config} '
            '(before --auto-scale-lr)')
    if result.scaler != 'absent':
        lines.append(f'state of the loss scaler: {result.scaler}')
    lines.append(
        f'continue: python tools/train.py {config} --resume {target}'
        + (' with the same --cfg-options' if args.cfg_options else ''))
    return '\n'.join(lines)


def weights_only(checkpoint: dict[str, Any], args) -> dict[str, Any]:
    """A checkpoint to load from."""
    meta = dict(source='official iBOT')
    if 'epoch' in checkpoint:
        meta['source_epoch'] = checkpoint['epoch']
    networks = args.networks or ['student', 'teacher']
    return dict(
        state_dict=from_official_checkpoint(checkpoint, networks), meta=meta)


@report_errors
def main() -> None:
    """Read, convert, write."""
    args = parse_args()
    checkpoint = load_checkpoint(args.source)
    if args.config:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options or {})
        result = continue_official(checkpoint, cfg, args.epoch_length)
        torch.save(result.checkpoint, args.target)
        print(describe(result, args))
        return
    converted = weights_only(checkpoint, args)
    torch.save(converted, args.target)
    print(f'wrote {len(converted["state_dict"])} entries to {args.target}: '
          'weights only, no state of an optimizer (--config adds it)')


if __name__ == '__main__':
    main()
