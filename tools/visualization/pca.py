"""Draw the principal components of patch tokens as colors.

    python tools/visualization/pca.py CHECKPOINT photos/ --out parts

All images of a call share one basis, so that equal colors mean similar
patches. The background, as the first component has it, is black; the first
three components of the rest are blue, green and red. index.html shows all
pictures.
"""

import numpy as np
from picture_inputs import (
    networks,
    open_network,
    patch_grid,
    picture_parser,
    pictures,
)

from ibot_mm.command_line import report_errors
from ibot_mm.visualization.gallery import Gallery
from ibot_mm.visualization.pca import color_patches, fit_colors


@report_errors
def main() -> None:
    """Read the command line, then draw."""
    parser = picture_parser(__doc__, 480)
    parser.add_argument('--background', action='store_true',
                        help='the components of all patches, not of the '
                        'foreground alone')
    parser.add_argument('--untrained', action='store_true', help='draw those '
                        'of the same network with random weights beside')
    args = parser.parse_args()
    embedder = open_network(args)
    backbones = networks(args, embedder)
    found = [(path, image, [patch_grid(backbone, inputs)
                            for backbone in backbones])
             for path, image, inputs in pictures(args, embedder)]
    bases = [fit_colors(grids, not args.background)
             for grids in zip(*(grids for _, _, grids in found))]
    gallery = Gallery(args.out, 'Components of the patch tokens')
    beside = ', untrained network' if args.untrained else ''
    for path, image, grids in found:
        colors = [color_patches(grid, basis, image.shape[:2], args.background)
                  for grid, basis in zip(grids, bases)]
        gallery.add(path.stem, np.hstack([image, *colors]),
                    f'{path}: image, components{beside}')
    print(f'wrote {gallery.write()}')


if __name__ == '__main__':
    main()
