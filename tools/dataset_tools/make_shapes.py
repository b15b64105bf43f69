r"""Make the shapes data set: scenes of textured shapes as real JPEG files.

Three layouts of the same scenes: ImageNet (class folders and lists), COCO
(instances with polygons, boxes and crowds) and ADE20K (label maps, 0 =
ignored). Every image depends only on the seed, its split and its number, so a
larger set starts with the smaller one, and any number of processes writes the
same bytes.

    python tools/dataset_tools/make_shapes.py data/shapes \
        --train 2400 --val 600

--extra adds small test sets in the layouts of published ones, each in
OUT/NAME, with all 12 classes.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from extra_sets import EXTRA_SETS
from shapes_scene import MAX_CLASSES, Instance, class_name, draw_scene

LAYOUTS = ('imagenet', 'coco', 'ade20k')
# ImageNet's, COCO's and ADE20K's names of the two splits.
SPLITS = (('train', 'train2017', 'training'), ('val', 'val2017',
                                               'validation'))
JPEG_QUALITY = 90
# Objects with fewer visible pixels are left out, of the label maps as well.
MIN_PIXELS = 16
# Counts up when the images of the same settings change.
VERSION = 1


def rle(mask: np.ndarray) -> dict:
    """Uncompressed run lengths of COCO: columns first, zeros first."""
    flat = mask.flatten(order='F')
    edges = np.flatnonzero(np.diff(flat)) + 1
    runs = np.diff(np.concatenate([[0], edges, [flat.size]])).tolist()
    return dict(
        counts=[0] + runs if flat[0] else runs, size=list(mask.shape))


def polygons(mask: np.ndarray) -> list[list[float]]:
    """Outlines of a mask along the edges of its pixels, as COCO's flat lists.

    They decode to exactly this mask: a part with holes, which COCO's polygons
    cannot have, is cut in two at a hole.
    """
    # Twice as large, a pixel's first and last rows tell its two edges apart.
    large = np.repeat(np.repeat(mask.astype(np.uint8), 2, 0), 2, 1)
    contours, tree = cv2.findContours(large, cv2.RETR_CCOMP,
                                      cv2.CHAIN_APPROX_SIMPLE)
    holes = [c for c, node in zip(contours, tree[0]) if node[3] >= 0
             ] if contours else []
    if holes:
        column = int(np.median(holes[0][:, 0, 0])) // 2 + 1
        left, right = mask.copy(), mask.copy()
        left[:, column:], right[:, :column] = False, False
        return polygons(left) + polygons(right)
    corners = [(contour.reshape(-1, 2) + 1) // 2 for contour in contours]
    return [c.reshape(-1).astype(float).tolist() for c in corners]


def annotation(instance: Instance) -> dict:
    """COCO annotation without its identifiers."""
    x, y, w, h = cv2.boundingRect(instance.mask.astype(np.uint8))
    segmentation = rle(instance.mask) if instance.is_crowd else polygons(
        instance.mask)
    return dict(
        category_id=instance.label + 1,
        segmentation=segmentation,
        area=int(instance.mask.sum()),
        bbox=[x, y, w, h],
        iscrowd=int(instance.is_crowd))


def write_scene(index: int, out: Path, seed: int, split: int,
                num_classes: int, layouts: Sequence[str]) -> dict:
    """Draw a scene and write its files.

    Args:
        index: Number of the scene.
        out: Root of the data set.
        seed: Seed of the data set.
        split: 0 for training, 1 for validation.
        num_classes: Number of classes.
        layouts: Which layouts to write.

    Returns:
        ``file``, ``label``, ``size`` and COCO ``annotations``.
    """
    scene = draw_scene(seed, split, index, num_classes)
    imagenet, coco, ade = SPLITS[split]
    name = f'{index:06d}'
    jpeg = cv2.imencode('.jpg', scene.image,
                        [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])[1].tobytes()
    kept = [
        instance for instance in scene.instances
        if instance.mask.sum() >= MIN_PIXELS
    ]
    if 'imagenet' in layouts:
        folder = out / 'imagenet' / imagenet / class_name(scene.label)
        (folder / f'{name}.jpg').write_bytes(jpeg)
    if 'coco' in layouts:
        (out / 'coco' / coco / f'{name}.jpg').write_bytes(jpeg)
    if 'ade20k' in layouts:
        labels = np.zeros(scene.image.shape[:2], np.uint8)
        for instance in kept:
            labels[instance.mask] = instance.label + 1
        (out / 'ade20k' / 'images' / ade / f'{name}.jpg').write_bytes(jpeg)
        cv2.imwrite(
            str(out / 'ade20k' / 'annotations' / ade / f'{name}.png'), labels)
    return dict(
        file=name,
        label=scene.label,
        size=scene.image.shape[:2],
        annotations=[annotation(instance) for instance in kept]
        if 'coco' in layouts else [])


def make_folders(out: Path, num_classes: int,
                 layouts: Sequence[str]) -> None:
    """Create every folder that ``write_scene`` writes to."""
    for imagenet, coco, ade in SPLITS:
        folders = dict(
            imagenet=[
                f'{imagenet}/{class_name(c)}' for c in range(num_classes)
            ] + ['meta'],
            coco=[coco, 'annotations'],
            ade20k=[f'images/{ade}', f'annotations/{ade}'])
        for layout in layouts:
            for folder in folders[layout]:
                (out / layout / folder).mkdir(parents=True, exist_ok=True)


def write_lists(out: Path, split: int, scenes: list[dict],
                num_classes: int, layouts: Sequence[str]) -> None:
    """Write the list of ImageNet and the annotation file of COCO."""
    imagenet, coco, _ = SPLITS[split]
    if 'imagenet' in layouts:
        lines = [
            f'{class_name(s["label"])}/{s["file"]}.jpg {s["label"]}\n'
            for s in scenes
        ]
        (out / 'imagenet' / 'meta' / f'{imagenet}.txt').write_text(
            ''.join(lines))
    if 'coco' in layouts:
        content = dict(
            info=dict(description='shapes'),
            licenses=[],
            categories=[
                dict(id=c + 1, name=class_name(c), supercategory='shape')
                for c in range(num_classes)
            ],
            images=[
                dict(
                    id=i + 1,
                    file_name=f'{s["file"]}.jpg',
                    height=s['size'][0],
                    width=s['size'][1]) for i, s in enumerate(scenes)
            ],
            annotations=[])
        for i, scene in enumerate(scenes):
            for item in scene['annotations']:
                content['annotations'].append(
                    dict(
                        item,
                        id=len(content['annotations']) + 1,
                        image_id=i + 1))
        (out / 'coco' / 'annotations' /
         f'instances_{coco}.json').write_text(json.dumps(content))


def _is_json(path: Path, content: dict) -> bool:
    try:
        return json.loads(path.read_text()) == content
    except ValueError:
        return False


def make_shapes(out: Path,
                counts: tuple[int, int] = (2400, 600),
                num_classes: int = MAX_CLASSES,
                seed: int = 0,
                layouts: Sequence[str] = LAYOUTS,
                workers: int = 2) -> bool:
    """Write the data set, unless it is there already.

    Args:
        out: Folder to write to.
        counts: Images for training and for validation.
        num_classes: Number of classes, 2 to 12.
        seed: Seed.
        layouts: Which layouts to write.
        workers: Processes.

    Returns:
        Whether anything was written: False if ``out`` holds the same data set.

    Raises:
        ValueError: An argument is out of range, or ``out`` holds something
            else.
    """
    if not 2 <= num_classes <= MAX_CLASSES:
        raise ValueError(f'--classes must be 2 to {MAX_CLASSES}, got '
                         f'{num_classes}.')
    if min(counts) < 1 or workers < 1:
        raise ValueError('--train, --val and --workers must be at least 1.')
    if seed < 0:
        raise ValueError(f'--seed must be at least 0, got {seed}.')
    settings = dict(
        version=VERSION,
        counts=list(counts),
        num_classes=num_classes,
        seed=seed,
        layouts=sorted(set(layouts)))
    manifest = out / 'shapes.json'
    if manifest.is_file():
        if _is_json(manifest, settings):
            return False
        raise ValueError(f'{out} holds a shapes data set with other settings '
                         f'({manifest}): remove it or choose another folder.')
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ValueError(f'{out} exists and is not an empty folder: remove it '
                         'or choose another one.')
    make_folders(out, num_classes, layouts)
    for split, count in enumerate(counts):
        write = partial(
            write_scene,
            out=out,
            seed=seed,
            split=split,
            num_classes=num_classes,
            layouts=layouts)
        scenes = []
        # Spawned, because OpenCV's threads do not survive a fork.
        with get_context('spawn').Pool(workers, cv2.setNumThreads,
                                       (1, )) as pool:
            for scene in pool.imap(write, range(count), chunksize=16):
                scenes.append(scene)
                if len(scenes) % 200 == 0 or len(scenes) == count:
                    print(f'{SPLITS[split][0]}: {len(scenes)}/{count} images')
        write_lists(out, split, scenes, num_classes, layouts)
    # Written last: a folder without it is an incomplete data set.
    manifest.write_text(json.dumps(settings, indent=2))
    return True


def make_extra(out: Path, name: str, seed: int) -> bool:
    """Write one of the extra sets to ``out/name``, unless it is there.

    Returns:
        Whether anything was written.

    Raises:
        ValueError: The folder holds the set with other settings.
    """
    settings, manifest = dict(version=VERSION, seed=seed), out / name / (
        'shapes.json')
    if manifest.is_file():
        if _is_json(manifest, settings):
            return False
        raise ValueError(f'{out / name} holds the set with other settings '
                         f'({manifest}): remove it.')
    EXTRA_SETS[name](out / name, seed)
    manifest.write_text(json.dumps(settings, indent=2))
    return True


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('out', type=Path, help='folder to write to')
    parser.add_argument(
        '--train', type=int, default=2400, help='training images')
    parser.add_argument(
        '--val', type=int, default=600, help='validation images')
    parser.add_argument(
        '--classes',
        type=int,
        default=MAX_CLASSES,
        help=f'classes, 2 to {MAX_CLASSES}')
    parser.add_argument(
        '--seed', type=int, default=0, help='seed, at least 0')
    parser.add_argument(
        '--layouts',
        nargs='+',
        choices=LAYOUTS,
        default=LAYOUTS,
        help='which layouts to write')
    parser.add_argument('--workers', type=int, default=2, help='processes')
    parser.add_argument(
        '--extra',
        nargs='+',
        choices=list(EXTRA_SETS),
        default=[],
        metavar='NAME',
        help=f'extra test sets: {", ".join(EXTRA_SETS)}')
    args = parser.parse_args()
    try:
        written = make_shapes(args.out, (args.train, args.val), args.classes,
                              args.seed, args.layouts, args.workers)
        extra = {name: make_extra(args.out, name, args.seed)
                 for name in args.extra}
    except (ValueError, OSError, ImportError) as error:
        print(f'make_shapes: {error}', file=sys.stderr)
        return 2
    done = 'wrote' if written else 'already complete, nothing to do:'
    print(f'make_shapes: {done} {args.train} + {args.val} images of '
          f'{args.classes} classes in {args.out}.')
    for name, is_new in extra.items():
        done = 'wrote' if is_new else 'already complete:'
        print(f'make_shapes: {done} {args.out / name}.')
    return 0


if __name__ == '__main__':
    sys.exit(main())
