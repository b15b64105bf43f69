"""Features of images, with any checkpoint of a ViT or Swin transformer.

    python tools/embed.py CHECKPOINT IMAGES --out features.parquet
    torchrun --nproc_per_node 8 tools/embed.py CHECKPOINT IMAGES \
        --out features.npy --launcher pytorch

IMAGES is a folder, which is searched recursively, or a text file with a path
per line. The file of features has the names of the images, too. The same
command continues after an interruption. Files that cannot be read are left
out and listed in OUT.unreadable.txt.
"""

import argparse
import os

import torch
from mmengine.config import Config
from mmengine.dist import init_dist, is_main_process

from ibot_mm.apis.embed import FEATURES, embed_images
from ibot_mm.apis.embedder import Embedder
from ibot_mm.checkpoints.load import TRUST
from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.distributed.launch import prepare_launch

# In seconds: processes wait for the slowest one.
TIMEOUT = 86400


def parse_args() -> argparse.Namespace:
    """Command line."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint of this package, the '
                        'official code, DINO, DINOv2, timm, or a folder of '
                        'Hugging Face')
    parser.add_argument('images', help='folder or list file')
    parser.add_argument('--out', required=True,
                        help='file to write: .parquet, .npz or .npy')
    parser.add_argument('--features', choices=FEATURES, default='cls',
                        help='default: cls')
    parser.add_argument('--layer', type=int, default=-1,
                        help='block to take them from, from 0 (default: the '
                        'last)')
    parser.add_argument('--network', choices=['teacher', 'student'],
                        default='teacher',
                        help='of a pre-training (default: teacher)')
    parser.add_argument('--resize', type=int,
                        help='short edge before the center crop (default: as '
                        "in the run's validation, else 256)")
    parser.add_argument('--crop', type=int,
                        help='side of the center crop (default: as in the '
                        "run's validation, else 224)")
    parser.add_argument('--mean', type=float, nargs='+',
                        help='per channel in pixel values, RGB (default: of '
                        "the run, else ImageNet's)")
    parser.add_argument('--std', type=float, nargs='+', help='as --mean')
    parser.add_argument('--num-heads', type=int,
                        help='of a ViT of unusual size, if the checkpoint '
                        'has no config')
    parser.add_argument('--img-size', type=int, nargs=2,
                        metavar=('H', 'W'), help='size that the position '
                        'embeddings are for, if it is not a square')
    parser.add_argument('--batch-size', type=int, default=32)
    parser.add_argument('--workers', type=int, default=4,
                        help='processes that read images (default: 4)')
    parser.add_argument('--shard-size', type=int, default=4096,
                        help='images that are computed anew after an '
                        'interruption at most (default: 4096)')
    parser.add_argument('--trust-checkpoint', action='store_true',
                        help='let the checkpoint run code when it is read, '
                        'and do not verify its checksums')
    parser.add_argument('--launcher', default='none',
                        choices=['none', 'pytorch', 'slurm', 'mpi'],
                        help='how the processes were started')
    parser.add_argument('--local_rank', '--local-rank', type=int, default=0)
    args = parser.parse_args()
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    return args


def start(launcher: str) -> None:
    """Join the process group, if there are several processes."""
    prepare_launch(Config(dict(
        launcher=launcher, env_cfg=dict(dist_cfg=dict(timeout=TIMEOUT)))))
    if launcher != 'none' and not torch.distributed.is_initialized():
        init_dist(launcher, timeout=TIMEOUT)


@report_errors
def main() -> None:
    """Read the network, compute, write."""
    args = parse_args()
    if args.trust_checkpoint:
        os.environ[TRUST] = '1'
    start(args.launcher)
    embedder = Embedder(
        args.checkpoint, args.network, batch_size=args.batch_size,
        resize=args.resize, crop=args.crop, mean=args.mean, std=args.std,
        num_heads=args.num_heads,
        img_size=tuple(args.img_size) if args.img_size else None)
    bad = embed_images(embedder, args.images, args.out, args.features,
                       args.layer, args.workers, args.shard_size)
    if not is_main_process():
        return
    print(f'wrote {args.out}')
    for path, reason in bad[:10]:
        print(f'left out: {path}: {reason}')
    if bad:
        print(f'could not be read: {len(bad)}, listed in '
              f'{args.out}.unreadable.txt')


if __name__ == '__main__':
    main()
