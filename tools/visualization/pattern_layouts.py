"""Draw the image patches that belong to each prototype (paper, figure 4).

    python tools/visualization/pattern_layouts.py CHECKPOINT photos/ \
        --out patterns
    python tools/visualization/pattern_layouts.py CHECKPOINT photos/ \
        --out patterns --tokens cls --grid 100

A token belongs to the prototype of its largest logit, without centering as
in the paper; if that gives few prototypes, try --centered. The
prototypes with the most tokens are drawn: of each image the patch of largest
logit, tinted, with two patches on each side; the best image is first. With
class folders, the share of tokens from images of the most frequent class
stands beside each prototype. What the network computes is kept in OUT, so
calls with other numbers or --tokens only draw.
"""

from pathlib import Path

import numpy as np
from picture_inputs import chosen_paths, open_network, picture_parser
from tqdm import tqdm

from ibot_mm.apis.prototype_assignment import (
    assign_prototypes,
    load_centers,
    load_neck,
)
from ibot_mm.command_line import report_errors
from ibot_mm.visualization.gallery import Gallery
from ibot_mm.visualization.pattern_layouts import (
    members_in_words,
    overall_purity,
    prototype_layout,
    purity,
    rank_prototypes,
)


@report_errors
def main() -> None:
    """Read the command line, compute what is not there yet, then draw."""
    parser = picture_parser(
        __doc__, 224, 50000, 'side in pixels to which the center of images '
        'is cropped; the short edge is 8/7 of it before')
    parser.add_argument('--tokens', choices=['patch', 'cls'],
                        default='patch', help='prototypes of patches, or of '
                        'images by their CLS tokens (default: patch)')
    parser.add_argument('--centered', action='store_true', help='subtract '
                        'the centers of the training from the logits, as its '
                        'targets do (full checkpoints only)')
    parser.add_argument('--num', type=int, default=20, help='number of '
                        'prototypes to draw (default: 20)')
    parser.add_argument('--grid', type=int, default=36, help='number of '
                        'images per prototype, 100 for a large picture '
                        '(default: 36)')
    parser.add_argument('--workers', type=int, default=4, help='processes '
                        'that read images (default: 4)')
    args = parser.parse_args()
    neck = load_neck(args.checkpoint, args.network)
    centers = load_centers(args.checkpoint) if args.centered else None
    embedder = open_network(args, resize=round(args.size * 8 / 7),
                            crop=args.size)
    found = assign_prototypes(embedder, neck, [
        str(path) for path in chosen_paths(args)], args.out, args.workers,
        centers=centers)
    logits, prototypes = (getattr(found, f'{args.tokens}_{name}')
                          for name in ('logits', 'prototypes'))
    labels = [Path(name).parent.name for name in found.names]
    ranked = rank_prototypes(prototypes)
    result = (f'{len(ranked)} prototypes have any of {prototypes.size} '
              f'{args.tokens} tokens of {len(found.names)} images')
    if len(set(labels)) > 1:
        result += (f'; purity {100 * overall_purity(prototypes, labels):.1f} '
                   f'%, {100 * purity(labels)[1]:.1f} % with one prototype')
    gallery = Gallery(args.out, result)

    def load(image: int) -> np.ndarray:
        return embedder.load(found.names[image]).permute(1, 2, 0).numpy()

    for rank, (prototype, _) in enumerate(
            tqdm(ranked[:args.num], unit=' prototypes', disable=None), 1):
        picture = prototype_layout(load, logits, prototypes, prototype,
                                   args.grid)
        words = members_in_words(prototypes, prototype, labels)
        gallery.add(f'{args.tokens}_{rank:03d}_prototype_{prototype}',
                    picture, f'rank {rank}, {words}')
    print(f'{result}\nwrote {gallery.write()}')


if __name__ == '__main__':
    main()
