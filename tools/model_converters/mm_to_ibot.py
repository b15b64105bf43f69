"""Convert a pre-training checkpoint to the official code's names.

    python tools/model_converters/mm_to_ibot.py epoch_800.pth checkpoint.pth

The file has ``student``, ``teacher`` and ``ibot_loss`` as the official ones;
the optimizer's state is not converted.
"""

import argparse

import torch

from ibot_mm.utils.official_checkpoint import to_official_checkpoint
from ibot_mm.utils.safe_load import load_checkpoint


def main() -> None:
    """Read, convert, write."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of this package')
    parser.add_argument('target', help='file to write')
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.source)
    torch.save(
        to_official_checkpoint(checkpoint.get('state_dict', checkpoint)),
        args.target)
    print(f'wrote {args.target}')


if __name__ == '__main__':
    main()
