"""Draw what the CLS token attends to, by head, in the last layer of a ViT.

    python tools/visualization/attention_maps.py CHECKPOINT photo.jpg \
        --out attention
    python tools/visualization/attention_maps.py CHECKPOINT film.mp4 \
        --out attention --video
    python tools/visualization/attention_maps.py CHECKPOINT images/validation \
        --out attention --masks annotations/validation

Writes a PNG per image: the image, all heads in one picture (the patches that
hold 60 % of each head's attention, as in the paper's figures 6 and 18), and a
heat map per head; index.html shows all of them. --video draws the mean over
heads of the frames of a film, or of a folder of frames in the order of their
names, as OUT/attention.mp4. --masks compares these patches with objects: a
folder of label maps (ADE20K's layout: 0 is background, the names are those of
the images), or an annotation file of COCO (.json), of which the union of all
objects is taken and crowd regions are not counted. The result is the Jaccard
index, intersection / union, of the head that fits an image best, mean over
the images.
"""

import argparse
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from coco_label_maps import CocoLabelMaps
from picture_inputs import (
    as_inputs,
    chosen_paths,
    fitted,
    networks,
    open_network,
    picture_parser,
    pictures,
)
from tqdm import tqdm

from ibot_mm.apis import Embedder
from ibot_mm.command_line import report_errors
from ibot_mm.datasets.transforms import decode_image
from ibot_mm.visualization.attention import (
    attention_row,
    cls_attention,
    heat_map,
    jaccard,
)
from ibot_mm.visualization.gallery import Gallery

FILMS = ('.mp4', '.avi', '.mov', '.mkv', '.webm')


def frames(args: argparse.Namespace) -> tuple[float, Iterator[np.ndarray]]:
    """Frames per second and frames of a film, or of a folder.

    Raises:
        ValueError: The film cannot be read.
    """
    source = Path(args.images[0])
    if source.suffix.lower() not in FILMS:
        args.limit = sys.maxsize  # all of them
        return args.fps or 30., (
            decode_image(path.read_bytes()) for path in chosen_paths(args))
    film = cv2.VideoCapture(str(source))
    if not film.isOpened():
        raise ValueError(f'"{source}" cannot be read as a film.')

    def read() -> Iterator[np.ndarray]:
        while (found := film.read())[0]:
            yield found[1]

    return args.fps or film.get(cv2.CAP_PROP_FPS) or 30., read()


def write_video(args: argparse.Namespace, embedder: Embedder) -> Path:
    """Write the film of the mean attention.

    Raises:
        ValueError: There are no frames, or OpenCV cannot write the film.
    """
    patch = embedder.backbone.patch_embed.projection.stride[0]
    rate, images = frames(args)
    path = Path(args.out, 'attention.mp4')
    path.parent.mkdir(parents=True, exist_ok=True)
    writer, size = None, None
    for image in tqdm(images, unit=' frames', disable=None):
        image = fitted(image, args.size, patch)
        size = size or image.shape[:2]
        attention = cls_attention(embedder.backbone,
                                  as_inputs(image, embedder))[0]
        picture = heat_map(attention.mean(0).numpy(), size,
                           cv2.COLORMAP_INFERNO)
        if writer is None:
            writer = cv2.VideoWriter(
                str(path), cv2.VideoWriter_fourcc(*'mp4v'), rate, size[::-1])
        writer.write(picture)
    if writer is None or not writer.isOpened():
        raise ValueError(f'"{path}" cannot be written: '
                         f'"{args.images[0]}" has no frames, or this build '
                         'of OpenCV writes no MP4 files.')
    writer.release()
    return path


def read_label_map(folder: str, image: Path) -> np.ndarray:
    """Label map (H, W) of an image.

    Raises:
        ValueError: There is none.
    """
    path = Path(folder, f'{image.stem}.png')
    labels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    if labels is None or labels.ndim != 2:
        raise ValueError(f'"{path}" is no label map of one channel, which '
                         f'--masks needs for "{image}".')
    return labels


def label_maps(args: argparse.Namespace
               ) -> tuple[Callable[[Path], np.ndarray], list[int]]:
    """What gives an image's label map, and its labels that are objects."""
    if args.masks.endswith('.json'):
        return CocoLabelMaps(args.masks, args.labels), []
    return partial(read_label_map, args.masks), list(args.labels)


def jaccard_in_words(values: list[np.ndarray]) -> str:
    """Mean over images of the Jaccard index, by image (heads, )."""
    heads = ', '.join(f'{value:.1%}' for value in np.mean(values, 0))
    return (f'Jaccard of the best head {np.max(values, 1).mean():.1%}, per '
            f'head {heads} ({len(values)} images)')


@report_errors
def main() -> None:
    """Read the command line, then draw."""
    parser = picture_parser(__doc__, 480)
    parser.add_argument('--mass', type=float, default=0.6, help='share of '
                        "each head's attention that is shown in color "
                        '(default: 0.6)')
    parser.add_argument('--contours', action='store_true', help='also draw '
                        'the outlines of these patches')
    parser.add_argument('--untrained', action='store_true', help='draw those '
                        'of the same network with random weights below')
    parser.add_argument('--video', action='store_true')
    parser.add_argument('--fps', type=float, help='frames per second '
                        '(default: those of the film, 30 for a folder)')
    parser.add_argument('--masks', help='folder of label maps, or '
                        'annotation file of COCO, for the Jaccard index')
    parser.add_argument('--labels', type=int, nargs='+', default=(),
                        help='labels of the maps, or category ids of COCO, '
                        'that are objects (default: all but 0)')
    args = parser.parse_args()
    if args.video and args.untrained:
        parser.error('--video draws one network: leave out --untrained')
    if not 0 < args.mass <= 1:
        parser.error(f'--mass must be above 0 and at most 1, got {args.mass}')
    if args.masks:
        read_labels, classes = label_maps(args)
    embedder = open_network(args)
    if args.video:
        print(f'wrote {write_video(args, embedder)}')
        return
    backbones = networks(args, embedder)
    gallery = Gallery(args.out, 'Attention of the CLS token')
    below = '; below, the untrained network' if args.untrained else ''
    overlaps: list[list[np.ndarray]] = [[] for _ in backbones]
    for path, image, inputs in pictures(args, embedder):
        found = [cls_attention(backbone, inputs)[0] for backbone in backbones]
        rows = [attention_row(image, attention, args.mass, args.contours)
                for attention in found]
        caption = f'{path}: image, all heads, then each head{below}'
        if args.masks:
            labels = read_labels(path)
            for attention, values in zip(found, overlaps):
                values.append(jaccard(attention, labels, args.mass, classes))
            caption += '; Jaccard ' + ', '.join(
                f'{value:.1%}' for value in overlaps[0][-1])
        gallery.add(path.stem, np.vstack(rows), caption)
    if args.masks:
        result = '; untrained: '.join(map(jaccard_in_words, overlaps))
        gallery.title += f'. {result}'
        print(result)
    print(f'wrote {gallery.write()}')


if __name__ == '__main__':
    main()
