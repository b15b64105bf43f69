"""The ViT that a converter reads from a checkpoint of any kind."""

import argparse
from pathlib import Path

from ibot_mm.apis.embedder import Embedder
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.command_line import CommandParser
from ibot_mm.models import IBOTViT


def vit_parser(description: str, target: str) -> CommandParser:
    """Parser with the arguments of :func:`open_vit`.

    Args:
        description: Docstring of the tool.
        target: Help of the argument ``target``.
    """
    parser = CommandParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint')
    parser.add_argument('target', type=Path, help=target)
    parser.add_argument('--network', default='teacher',
                        choices=['teacher', 'student'],
                        help='of a pre-training (default: teacher)')
    parser.add_argument('--num-heads', type=int, help='of a ViT of unusual '
                        'size, if the checkpoint has no config')
    return parser


def open_vit(args: argparse.Namespace) -> Embedder:
    """The network of the command line, on the CPU.

    Raises:
        CheckpointError: It is no ViT.
    """
    embedder = Embedder(args.source, args.network, device='cpu',
                        num_heads=args.num_heads)
    if not isinstance(embedder.backbone, IBOTViT):
        raise CheckpointError(f'"{args.source}" holds a Swin transformer: '
                              'only ViTs can be written.')
    return embedder
