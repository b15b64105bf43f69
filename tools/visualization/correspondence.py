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
from picture_arguments import (
    as_inputs,
    chosen_paths,
    open_network,
    patch_grid,
    picture_parser,
    read_images,
)

from ibot_mm.apis import Embedder
from ibot_mm.command_line import report_errors
from ibot_mm.datasets.transforms.multi_crop import resize
from ibot_mm.visualization.attention import cls_attention
from ibot_mm.visualization.correspondence import (
    best_matches,
    count_correct,
    draw_matches,
    most_attended,
    random_view,
    true_partners,
)
from ibot_mm.visualization.gallery import Gallery


def pairs_of_views(args: argparse.Namespace, embedder: Embedder,
                   gallery: Gallery) -> str:
    """Draw the first pairs of views, count in all; returns the result."""
    rng = random.Random(args.seed)
    paths = chosen_paths(args)
    rng.shuffle(paths)  # the first ones are drawn
    correct, at_random, total, pairs = 0, 0., 0, 0
    has_cls = hasattr(embedder.backbone, 'cls_token')
    for path, image in read_images(paths):
        first, second = (random_view(image, args.size, rng, args.scale)
                         for _ in range(2))
        inputs = as_inputs(first.image, embedder)
        tokens = patch_grid(embedder, inputs)
        matches = best_matches(tokens, patch_grid(
            embedder, as_inputs(second.image, embedder)))
        partners, shared = true_partners(first, second, len(tokens))
        counts = count_correct(matches, partners, shared, args.radius)
        pairs += 1
        correct, at_random, total = (
            correct + counts[0], at_random + counts[1], total + counts[2])
        if has_cls and pairs <= args.num:
            patches = most_attended(
                cls_attention(embedder.backbone, inputs)[0], args.top, shared)
            gallery.add(path.stem, draw_matches(
                first.image, second.image, patches, matches,
                args.size // len(tokens)),
                f'{path}: {counts[0]} of {counts[2]} patches in both views '
                'match the right one')
    if not has_cls:
        print(f'{type(embedder.backbone).__name__} has no CLS token that '
              'chooses the matches to draw: there are no pictures.')
    if not total:
        return f'no patch is in both views of any of {pairs} pairs'
    return (f'accuracy {100 * correct / total:.1f} % of {total} patches in '
            f'{pairs} pairs of views, at random '
            f'{100 * at_random / total:.1f} %')


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
            patch_grid(embedder, inputs),
            patch_grid(embedder, as_inputs(second, embedder)))
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
    args = parser.parse_args()
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
