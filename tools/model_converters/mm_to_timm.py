"""Convert the ViT backbone of a checkpoint to timm's names, or to DINO's.

    python tools/model_converters/mm_to_timm.py epoch_800.pth vit.pth
    python tools/model_converters/mm_to_timm.py epoch_800.pth dino.pth \
        --style dino

Takes the teacher, or with ``--network student`` the student without its mask
token, of a pre-training checkpoint; or the backbone of a file that
``extract_backbone.py`` wrote. ``--style timm`` writes a plain state dict for
``timm.models.vision_transformer.VisionTransformer`` (``num_classes=0``);
``--style dino`` the file that DINO's evaluation scripts read with
``--checkpoint_key teacher``, whatever the network.
"""

import argparse

import torch

from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.official.state_dict import add_prefix, strip_prefix
from ibot_mm.checkpoints.pretrained import select_network
from ibot_mm.checkpoints.timm import to_timm
from ibot_mm.command_line import CommandParser, report_errors


@report_errors
def main() -> None:
    """Read, extract, convert, write."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a pre-training, or '
                        'what extract_backbone.py wrote')
    parser.add_argument('target', help='file to write')
    parser.add_argument('--network', default='teacher',
                        choices=['teacher', 'student'],
                        help='of a pre-training (default: teacher)')
    parser.add_argument('--style', default='timm', choices=['timm', 'dino'])
    args = parser.parse_args()
    state = select_network(load_checkpoint(args.source), args.network)
    weights = to_timm(strip_prefix(state, 'backbone.'))
    torch.save(
        dict(teacher=add_prefix(weights, 'backbone.'))
        if args.style == 'dino' else weights, args.target)
    print(f'wrote {len(weights)} entries to {args.target}')


if __name__ == '__main__':
    main()
