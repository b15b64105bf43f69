"""Pre-train on a folder of images.

    python tools/pretrain.py IMAGES --out runs/mine
    python tools/pretrain.py IMAGES --out runs/mine --hours 12 --dry-run

Looks at the images and this machine, writes an ordinary config with a reason
for every choice to runs/mine/config.py, and trains it: on all GPUs, or on the
CPU. An interrupted run continues with --resume. On several machines or under
Slurm, start the written config with the scripts for them (docs/launching.md).
"""

import argparse
import os
import sys
from pathlib import Path

from ibot_mm.apis import Plan
from ibot_mm.apis.machine import Machine
from ibot_mm.apis.recipe import ARCHS
from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.engine.work_dir import WorkDirError, require_unused


def train(config: Path, gpus: int, *arguments: str) -> None:
    """Become the training of a config."""
    tools = Path(__file__).resolve().parent
    if gpus > 1:
        command = ['bash', str(tools / 'dist_train.sh'), str(config),
                   str(gpus), *arguments]
    else:
        command = [sys.executable, str(tools / 'train.py'), str(config),
                   *arguments]
    os.execvp(command[0], command)


@report_errors
def main() -> None:
    """Plan, write, train."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('images', help='folder of images, with or without '
                        'folders in it; labels are not used')
    parser.add_argument('--out', required=True,
                        help='folder of config, logs and checkpoints')
    parser.add_argument('--arch', choices=ARCHS, help='default: small with a '
                        'GPU, tiny without')
    parser.add_argument('--init', metavar='CHECKPOINT', help='weights to '
                        'start from, of any kind (docs/checkpoints.md)')
    parser.add_argument('--num-heads', type=int, help='of the weights, if '
                        'they are of no published network')
    parser.add_argument('--batch', type=int, help='images per step, over all '
                        'GPUs')
    parser.add_argument('--epochs', type=int)
    parser.add_argument('--hours', type=float, help='time that the training '
                        'may take; a few steps are measured')
    parser.add_argument('--dry-run', action='store_true',
                        help='write and explain the config, do not train')
    parser.add_argument('--resume', action='store_true',
                        help='continue the run in --out with its config')
    args = parser.parse_args()
    if args.resume:
        config = Path(args.out, 'config.py')
        if not config.exists():
            parser.error(f'--resume: there is no "{config}"')
        train(config, Machine.find().gpus, '--resume')
    try:
        require_unused(args.out)
    except WorkDirError:
        parser.error(f'"{args.out}" holds a run: continue it with --resume, '
                     'or choose another --out')
    plan = Plan(args.images, args.out, args.init, args.num_heads,
                arch=args.arch, batch=args.batch, epochs=args.epochs,
                hours=args.hours)
    plan.write()
    print('\n'.join(plan.explain()))
    print(f'wrote {plan.config}', flush=True)
    if not args.dry_run:
        train(plan.config, plan.machine.gpus)


if __name__ == '__main__':
    main()
