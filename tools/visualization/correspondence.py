"""Draw matching patches of two views of an image, and count right matches.

    python tools/visualization/correspondence.py CHECKPOINT photos/ \
        --out matches
    python tools/visualization/correspondence.py CHECKPOINT photos/ \
        --out matches --pairs class

A patch matches the patch of the other picture whose token, after the final
norm, has the largest dot product with its own. Two views are random resized
crops with color jitter and flips, one pair an image; how many patches that
both show match the nearest patch is printed, to compare checkpoints. With
--pairs class the pairs are two images of a class (a folder of class folders):
there is no right match, so pictures only. Drawn are the matches of the
patches that the CLS token attends to most, mean over heads of the last layer;
a Swin transformer has no CLS token, so it gets the number without pictures.
"""

import argparse
import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from picture_inputs import (
    as_inputs,
    chosen_paths,
    networks,
    open_network,
    patch_grid,
    picture_parser,
    read_images,
)

from ibot_mm.apis import Embedder
from ibot_mm.command_line import report_errors
from ibot_mm.datasets.transforms.multi_crop import resize
from ibot_mm.evaluation.correspondence import (
    best_matches,
    count_correct,
    random_view,
    true_partners,
)
from ibot_mm.visualization.attention import cls_attention
from ibot_mm.visualization.correspondence import draw_matches, most_attended
from ibot_mm.visualization.gallery import Gallery


def pairs_of_views(args: argparse.Namespace, embedder: Embedder,
                   gallery: Gallery) -> str:
    """Draw the first pairs of views, count in all; returns the result."""
    rng = random.Random(args.seed)
    paths = chosen_paths(args)
    rng.shuffle(paths)  # the first ones are drawn
    backbones = networks(args, embedder)
    # Of each network: right matches, those at random, patches.
    counts: list[list[tuple[int, float, int]]] = [[] for _ in backbones]
    has_cls = hasattr(embedder.backbone, 'cls_token')
    for path, image in read_images(paths):
        first, second = (random_view(image, args.size, rng, args.scale)
                         for _ in range(2))
        inputs = [as_inputs(view.image, embedder) for view in (first, second)]
        rows = []
        for backbone, found in zip(backbones, counts):
            tokens = [patch_grid(backbone, view) for view in inputs]
            matches, side = best_matches(*tokens), len(tokens[0])
            partners, shared = true_partners(first, second, side)
            found.append(count_correct(matches, partners, shared,
                                       args.radius))
            if has_cls and len(found) <= args.num:
                patches = most_attended(cls_attention(
                    backbone, inputs[0])[0], args.top, shared)
                rows.append(draw_matches(first.image, second.image, patches,
                                         matches, args.size // side))
        if rows:
            correct, _, total = counts[0][-1]
            gallery.add(path.stem, np.vstack(rows), f'{path}: {correct} of '
                        f'{total} patches in both views match the right one' +
                        ('; below, the untrained network'
                         if args.untrained else ''))
    if not has_cls:
        print(f'{type(embedder.backbone).__name__} has no CLS token that '
              'chooses the matches to draw: there are no pictures.')
    shares = []
    for found in counts:
        correct, at_random, total = np.sum(found, 0)
        shares.append(f'{correct / max(total, 1):.1%}')
    return (f'accuracy {"; untrained: ".join(shares)} ({total:.0f} patches '
            f'in {len(counts[0])} pairs of views; at random '
            f'{at_random / max(total, 1):.1%})')


def images_of_a_class(paths: list[Path], seed: int
                      ) -> Iterator[tuple[Path, Path]]:
    """Pairs of images in the same folder, in random order.

    Raises:
        ValueError: No folder has two.
    """
    rng = random.Random(seed)
    pairs = []
    by_class = sorted(paths, key=lambda path: path.parent)
    for _, found in itertools.groupby(by_class, lambda path: path.parent):
        members = rng.sample(group := list(found), len(group))
        pairs += zip(members[::2], members[1::2])
    if not pairs:
        raise ValueError('no folder has two images: --pairs class needs a '
                         'folder per class.')
    rng.shuffle(pairs)
    yield from pairs


def pairs_of_a_class(args: argparse.Namespace, embedder: Embedder,
                     gallery: Gallery) -> str:
    """Draw pairs of images of a class; returns what was done."""
    pairs = list(itertools.islice(
        images_of_a_class(chosen_paths(args), args.seed), args.num))
    images = dict(read_images([path for pair in pairs for path in pair]))
    pairs = [pair for pair in pairs if images.keys() >= set(pair)]
    for pair in pairs:
        first, second = (np.ascontiguousarray(
            resize(images[path], (args.size, args.size))) for path in pair)
        inputs = as_inputs(first, embedder)
        attention = cls_attention(embedder.backbone, inputs)[0]
        matches = best_matches(
            patch_grid(embedder.backbone, inputs),
            patch_grid(embedder.backbone, as_inputs(second, embedder)))
        gallery.add(pair[0].parent.name, draw_matches(
            first, second, most_attended(attention, args.top), matches,
            args.size // len(matches)), ' and '.join(map(str, pair)))
    return f'{len(pairs)} pairs of images of a class'


@report_errors
def main() -> None:
    """Read the command line, then draw."""
    parser = picture_parser(__doc__, 224, 500,
                            'side in pixels of the square pictures')
    parser.add_argument('--pairs', choices=['views', 'class'],
                        default='views', help='two views of an image, or two '
                        'images of a class (default: views)')
    parser.add_argument('--num', type=int, default=20, help='number of pairs '
                        'to draw (default: 20)')
    parser.add_argument('--top', type=int, default=12, help='number of '
                        'matches to draw (default: 12)')
    parser.add_argument('--radius', type=int, default=0, help='rows and '
                        'columns by which a right match may miss (default: '
                        '0)')
    parser.add_argument('--scale', type=float, nargs=2, default=(0.4, 1),
                        metavar=('MIN', 'MAX'), help='range of area of a '
                        'view / area of the image (default: 0.4 1)')
    parser.add_argument('--untrained', action='store_true', help='also the '
                        'same network with random weights; drawn below')
    args = parser.parse_args()
    if args.untrained and args.pairs == 'class':
        parser.error('--pairs class draws one network: leave out --untrained')
    if not 0 < args.scale[0] <= args.scale[1] <= 1:
        parser.error(f'--scale must lie in (0, 1], got {args.scale}')
    embedder = open_network(args)
    patch = embedder.backbone.patch_embed.projection.stride[0]
    args.size = max(round(args.size / patch), 1) * patch
    gallery = Gallery(args.out, 'Matching patches')
    draw = pairs_of_views if args.pairs == 'views' else pairs_of_a_class
    result = draw(args, embedder, gallery)
    gallery.title += f': {result}'
    print(f'{result}\nwrote {gallery.write()}')


if __name__ == '__main__':
    main()
