"""Network and images of the tools that draw what a network has learned."""

import argparse
import logging
import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.logging import MMLogger
from torch import Tensor, nn
from tqdm import tqdm

from ibot_mm.apis import Embedder
from ibot_mm.command_line import CommandParser
from ibot_mm.datasets.image_paths import find_images
from ibot_mm.datasets.transforms import decode_image
from ibot_mm.datasets.transforms.decode import ImageDecodeError
from ibot_mm.registry import MODELS
from ibot_mm.visualization.cell_size import cell_size


def picture_parser(description: str, size: int, limit: int = 100,
                   sides: str = 'longer side in pixels to which images are '
                   'resized') -> CommandParser:
    """Parser with the arguments that these tools share.

    Args:
        description: Docstring of the tool.
        size: Default of ``--size``.
        limit: Default of ``--limit``.
        sides: What ``--size`` is.
    """
    parser = CommandParser(
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of any kind '
                        '(docs/checkpoints.md)')
    parser.add_argument('images', nargs='+', help='images, folders, or text '
                        'files with a path per line')
    parser.add_argument('--out', required=True, help='folder of the pictures')
    add_network_arguments(parser, size, limit, sides)
    return parser


def add_network_arguments(parser: CommandParser, size: int, limit: int,
                          sides: str) -> None:
    """Add the arguments of :func:`picture_parser` but for the files."""
    parser.add_argument('--size', type=int, default=size,
                        help=f'{sides}; positions are resized, too '
                        '(default: %(default)s)')
    parser.add_argument('--limit', type=int, default=limit, help='number of '
                        'images, chosen at random from more (default: '
                        '%(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of all that is '
                        'drawn at random')
    parser.add_argument('--network', choices=['teacher', 'student'],
                        default='teacher')
    parser.add_argument('--num-heads', type=int, help='of a ViT of unusual '
                        'size, if the checkpoint has no config')
    parser.add_argument('--device', help='default: the GPU if there is one')


def open_network(args: argparse.Namespace, **settings: Any) -> Embedder:
    """The network of the command line.

    Args:
        args: The parsed command line.
        **settings: Further arguments of the ``Embedder``.

    Raises:
        ValueError: It takes no color images.
    """
    embedder = Embedder(args.checkpoint, args.network, args.device,
                        num_heads=args.num_heads, **settings)
    if embedder.channels != 3:
        raise ValueError(f'"{args.checkpoint}" takes images of '
                         f'{embedder.channels} channels: only color images '
                         'can be drawn.')
    return embedder


def networks(args: argparse.Namespace, embedder: Embedder
             ) -> list[nn.Module]:
    """The backbone; with ``--untrained`` also one with random weights."""
    found = [embedder.backbone]
    if args.untrained:
        torch.manual_seed(args.seed)
        backbone = MODELS.build(embedder.architecture)
        logger = MMLogger.get_current_instance()
        level = logger.level
        logger.setLevel(logging.WARNING)  # else a line for each parameter
        backbone.init_weights()
        logger.setLevel(level)
        found.append(backbone.eval().to(embedder.device))
    return found


def chosen_paths(args: argparse.Namespace) -> list[Path]:
    """The images of the command line, in order; at most ``--limit``."""
    paths = []
    for source in map(Path, args.images):
        try:
            folder, names = find_images(source)
            paths += [folder / name for name in names]
        except ValueError:
            if not source.is_file():
                raise
            paths.append(source)
    if len(paths) > args.limit:
        chosen = random.Random(args.seed).sample(
            range(len(paths)), args.limit)
        paths = [paths[i] for i in sorted(chosen)]
    return paths


def fitted(image: np.ndarray, size: int, patch: int) -> np.ndarray:
    """Resize the longer side to ``size``; both become multiples of a patch.

    Args:
        image: (H, W, 3), uint8.
        size: In pixels.
        patch: Side of a patch in pixels.
    """
    scale = size / max(image.shape[:2])
    height, width = (max(round(side * scale / patch), 1) * patch
                     for side in image.shape[:2])
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=mode)


def read_images(paths: Sequence[Path]) -> Iterator[tuple[Path, np.ndarray]]:
    """Read images; those that cannot be read are named and left out.

    Yields:
        Path and image (H, W, 3), uint8 BGR.

    Raises:
        ValueError: None of them can be read.
    """
    count = 0
    for path in tqdm(paths, unit=' images', disable=None):
        try:
            image = decode_image(path.read_bytes())
        except (ImageDecodeError, OSError) as error:
            reason = getattr(error, 'reason', error)
            tqdm.write(f'left out: "{path}" {reason}')
            continue
        count += 1
        yield path, image
    if not count:
        raise ValueError(f'none of {len(paths)} images can be read.')


def as_inputs(image: np.ndarray, embedder: Embedder) -> Tensor:
    """The network's input (1, 3, H, W) of an image (H, W, 3), uint8 BGR."""
    return embedder.normalize(
        torch.from_numpy(image).permute(2, 0, 1).unsqueeze(0))


def pictures(args: argparse.Namespace, embedder: Embedder
             ) -> Iterator[tuple[Path, np.ndarray, Tensor]]:
    """Read and resize the images of the command line.

    Yields:
        Path, image (H, W, 3) uint8 BGR with sides that are multiples of
        :func:`cell_size`, and the network's input (1, 3, H, W).

    Raises:
        ValueError: None of them can be read.
    """
    cell = cell_size(embedder.backbone)
    for path, image in read_images(chosen_paths(args)):
        image = fitted(image, args.size, cell)
        yield path, image, as_inputs(image, embedder)


@torch.no_grad()
def patch_grid(backbone: nn.Module, inputs: Tensor) -> Tensor:
    """Patch tokens (h, w, C) after the final norm, on the CPU.

    Args:
        backbone: The network.
        inputs: Normalized, (1, 3, H, W).
    """
    tokens = backbone.extract_last_blocks(inputs, 1)[-1][1][0]
    rows = inputs.shape[2] // cell_size(backbone)
    return tokens.float().cpu().unflatten(0, (rows, -1))
