"""Take the backbone out of a pre-training checkpoint, to publish or fine-tune.

    python tools/model_converters/extract_backbone.py epoch_800.pth ibot.pth

Writes ``backbone.*`` (and with ``--with-neck`` ``neck.*``) of the teacher, or
with ``--side student`` of the student without its mask token, to
``ibot-<first 8 digits of the file's SHA-256>.pth``. Any host backbone of the
same architecture loads it:

    init_cfg=dict(type='Pretrained', checkpoint=..., prefix='backbone.')
"""

import argparse
import hashlib
from pathlib import Path
from typing import Dict

import torch
from torch import Tensor

from ibot_mm.utils.official_checkpoint import add_prefix, strip
from ibot_mm.utils.safe_load import CheckpointError, load_checkpoint


def extract(state: Dict[str, Tensor], side: str,
            with_neck: bool) -> Dict[str, Tensor]:
    """Backbone, and neck if asked for, of one side.

    Args:
        state: State dict of ``IBOT``.
        side: 'teacher' or 'student'.
        with_neck: Whether to take the projection head along.

    Raises:
        CheckpointError: The side is not in the checkpoint.
    """
    prefix = 'teacher.' if side == 'teacher' else ''
    result: Dict[str, Tensor] = {}
    for part in ('backbone.', 'neck.') if with_neck else ('backbone.', ):
        found = strip(state, prefix + part)
        if not found:
            raise CheckpointError(
                f'the checkpoint has no {part[:-1]} of the {side}: nothing '
                f'starts with "{prefix}{part}". It holds '
                f'{", ".join(list(state)[:3])} ...')
        found.pop('mask_token', None)
        result.update(add_prefix(found, part))
    return result


def publish(state: Dict[str, Tensor], target: Path) -> Path:
    """Save with the hash of the file in its name; returns the path."""
    temporary = target.with_suffix('.tmp')
    torch.save(dict(state_dict=state, meta={}), temporary)
    digest = hashlib.sha256(temporary.read_bytes()).hexdigest()[:8]
    path = target.with_name(f'{target.stem}-{digest}.pth')
    return temporary.replace(path)


def main() -> None:
    """Read, extract, publish."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a pre-training')
    parser.add_argument('target', type=Path, help='name of the file to write')
    parser.add_argument('--side', default='teacher',
                        choices=['teacher', 'student'])
    parser.add_argument('--with-neck', action='store_true')
    args = parser.parse_args()
    checkpoint = load_checkpoint(args.source)
    state = extract(checkpoint.get('state_dict', checkpoint), args.side,
                    args.with_neck)
    path = publish(state, args.target)
    print(f'wrote {len(state)} entries of the {args.side} to {path}')


if __name__ == '__main__':
    main()
