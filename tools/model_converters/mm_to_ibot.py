"""Convert a pre-training checkpoint to the official code's names.

    python tools/model_converters/mm_to_ibot.py epoch_800.pth checkpoint.pth

The file has ``student``, ``teacher`` and ``ibot_loss`` as the official ones,
and ``optimizer``, ``epoch`` and ``fp16_scaler`` where the checkpoint has them.
"""

import argparse
from typing import Any

import torch

from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.official.optimizer import to_official_optimizer
from ibot_mm.checkpoints.official.state_dict import to_official_checkpoint
from ibot_mm.command_line import CommandParser, report_errors


def training_state(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """Epoch and optimizer; without the latter if it is not AdamW of ours."""
    result: dict[str, Any] = {}
    if 'epoch' in checkpoint.get('meta', {}):
        result['epoch'] = checkpoint['meta']['epoch']
    if 'optimizer' not in checkpoint:
        return result
    try:
        result['optimizer'] = to_official_optimizer(checkpoint)
    except CheckpointError as error:
        print(f'left out: {error}')
    if checkpoint['optimizer'].get('loss_scaler'):
        result['fp16_scaler'] = checkpoint['optimizer']['loss_scaler']
    return result


@report_errors
def main() -> None:
    """Read, convert, write."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of this package')
    parser.add_argument('target', help='file to write')
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.source)
    converted = to_official_checkpoint(
        checkpoint.get('state_dict', checkpoint))
    converted.update(training_state(checkpoint))
    torch.save(converted, args.target)
    print(f'wrote {", ".join(converted)} to {args.target}')


if __name__ == '__main__':
    main()
