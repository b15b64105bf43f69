"""Take the backbone out of a pre-training checkpoint, to publish or fine-tune.

    python tools/model_converters/extract_backbone.py epoch_800.pth ibot.pth

Takes checkpoints of this package and of the official code. Writes
``backbone.*`` (and with ``--with-neck`` ``neck.*``) of the teacher, or with
``--network student`` of the student without its mask token, to
``ibot-<first 8 digits of the file's SHA-256>.pth``. Backbones of the same
architecture in MMPretrain, MMDetection and MMSegmentation load it:

    init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')
"""

import argparse
from pathlib import Path

from ibot_mm.checkpoints.backbone_file import write_backbone
from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.pretrained import require_neck, select_network
from ibot_mm.command_line import CommandParser, report_errors


@report_errors
def main() -> None:
    """Read, extract, publish."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a pre-training')
    parser.add_argument('target', type=Path, help='name of the file to write')
    parser.add_argument('--network', default='teacher',
                        choices=['teacher', 'student'])
    parser.add_argument('--with-neck', action='store_true')
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.source)
    state = select_network(checkpoint, args.network)
    if args.with_neck:
        require_neck(state)
    else:
        state = {
            name: value
            for name, value in state.items() if name.startswith('backbone.')
        }
    path = write_backbone(state, args.target, checkpoint)
    print(f'wrote {len(state)} entries of the {args.network} to {path}')


if __name__ == '__main__':
    main()
