"""Draw the principal components of patch tokens as colors.

    python tools/visualization/pca.py CHECKPOINT photos/ --out parts

All images of a call share one basis, so that equal colors mean similar
patches. The background, as the first component has it, is black; the next
three components are red, green and blue. index.html shows all pictures.
"""

import numpy as np
from picture_arguments import (
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
                        help='color the background, too')
    args = parser.parse_args()
    embedder = open_network(args)
    found = [(path, image, patch_grid(embedder, inputs))
             for path, image, inputs in pictures(args, embedder)]
    basis = fit_colors([grid for _, _, grid in found])
    gallery = Gallery(args.out, 'Components of the patch tokens')
    for path, image, grid in found:
        colors = color_patches(grid, basis, image.shape[:2], args.background)
        gallery.add(path.stem, np.hstack([image, colors]), str(path))
    print(f'wrote {gallery.write()}')


if __name__ == '__main__':
    main()
