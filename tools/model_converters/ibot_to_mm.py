"""Convert an official iBOT checkpoint to this package.

    python tools/model_converters/ibot_to_mm.py checkpoint.pth ibot_mm.pth
    python tools/model_converters/ibot_to_mm.py checkpoint.pth ibot_mm.pth \
        --sides teacher

Full checkpoints become the state of ``IBOT`` (student, teacher, centres), for
``tools/test.py`` or ``load_from``; backbone-only ones become ``backbone.*``.
The optimizer's state is not converted.
"""

import argparse

import torch

from ibot_mm.utils.official_checkpoint import from_official_checkpoint
from ibot_mm.utils.safe_load import load_checkpoint


def main() -> None:
    """Read, convert, write."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='official checkpoint')
    parser.add_argument('target', help='file to write')
    parser.add_argument('--sides', nargs='+', default=['student', 'teacher'],
                        choices=['student', 'teacher'])
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.source)
    state = from_official_checkpoint(checkpoint, args.sides)
    meta = dict(source='official iBOT')
    if 'epoch' in checkpoint:
        meta['source_epoch'] = checkpoint['epoch']
    torch.save(dict(state_dict=state, meta=meta), args.target)
    print(f'wrote {len(state)} entries to {args.target}')


if __name__ == '__main__':
    main()
