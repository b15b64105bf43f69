"""Draw the predictions of a detector or segmentor.

The visualizer of the config draws one picture per image; OUT/predictions.png
contains all of them. Images of the test set show the ground truth on the left
and the prediction on the right, other images only the prediction.

    python tools/visualization/draw_predictions.py CONFIG CHECKPOINT --out OUT
    python tools/visualization/draw_predictions.py CONFIG CHECKPOINT \
        --out OUT --images photo.jpg my_photos/

MMDetection's lines are thick on small images: set
``--cfg-options visualizer.line_width=1``. For more transparent segmentation
maps set ``--cfg-options visualizer.alpha=0.5``.
"""

import argparse
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import BaseDataset, pseudo_collate
from mmengine.model import revert_sync_batchnorm
from mmengine.registry import DATASETS, MODELS, VISUALIZERS, init_default_scope
from mmengine.visualization import Visualizer
from torch import nn

import ibot_mm  # noqa: F401  (checks the installation first)
from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.pretrained import weights_of
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)
from ibot_mm.datasets.pretrain import image_extensions
from ibot_mm.datasets.transforms import ImageDecodeError, decode_image

WIDTH, GAP = 800, 6
SHEET = 'predictions.png'


def spaced(items: Sequence, count: int) -> list:
    """At most ``count`` items, evenly spaced from the first to the last."""
    count = min(count, len(items))
    indices = np.linspace(0, len(items) - 1, count).round().astype(int)
    return [items[int(i)] for i in indices]


def find_images(paths: Sequence[str], count: int) -> list[Path]:
    """Expand paths to image files.

    Args:
        paths: Files and folders.
        count: Maximum number of images per folder.

    Raises:
        ValueError: A file does not exist, or a folder contains no images.
    """
    files = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(p for p in path.iterdir()
                           if p.suffix.lower() in image_extensions())
            if not found:
                raise ValueError(f'"{path}" contains no images.')
            files += spaced(found, count)
        elif path.is_file():
            files.append(path)
        else:
            raise ValueError(f'"{path}" does not exist.')
    return files


def is_detector(model: nn.Module) -> bool:
    """Whether a model is a detector; otherwise it is a segmentor.

    Raises:
        ValueError: It is neither.
    """
    # By name, because MMDetection or MMSegmentation may not be installed.
    bases = {cls.__name__ for cls in type(model).__mro__}
    if not bases & {'BaseDetector', 'BaseSegmentor'}:
        raise ValueError(
            f'the config builds {type(model).__name__}, which is neither a '
            'detector (MMDetection) nor a segmentor (MMSegmentation).')
    return 'BaseDetector' in bases


def load_model(cfg: Config, checkpoint: str, device: str) -> nn.Module:
    """Build the model of a config with all weights of a checkpoint.

    Args:
        cfg: Config; checkpoints of ``init_cfg`` are not loaded.
        checkpoint: File with the weights of the complete model.
        device: 'cuda' or 'cpu'.

    Raises:
        ValueError: The model is neither a detector nor a segmentor, or the
            checkpoint does not match it.
    """
    # MMEngine also accepts it at the top level of the config.
    settings = dict(data_preprocessor=cfg.get('data_preprocessor'))
    model = MODELS.build({**settings, **cfg.model})
    is_detector(model)
    if device == 'cpu':
        model = revert_sync_batchnorm(model)
    load_strict(model, weights_of(load_checkpoint(checkpoint)), checkpoint)
    return model.to(device).eval()


def build_dataset(cfg: Config, annotated: bool) -> BaseDataset:
    """Build the test set of a config.

    Args:
        cfg: Config.
        annotated: Whether to load its annotations; otherwise only pipeline
            and classes are available.

    Raises:
        ValueError: The pipeline uses test-time augmentation.
    """
    settings = cfg.test_dataloader.dataset.copy()
    steps, annotations = [], []
    for step in settings.pipeline:
        if step['type'].endswith('TestTimeAug'):
            raise ValueError('the test pipeline has test-time augmentation '
                             '(TestTimeAug): use the config without it.')
        is_annotation = step['type'].endswith('Annotations')
        (annotations if is_annotation else steps).append(step)
    if annotated:
        # Predictions are in pixels of the original image. Annotations that
        # are loaded last are not resized, so they are too.
        steps[-1:-1] = annotations
    settings.update(pipeline=steps, lazy_init=not annotated)
    return DATASETS.build(settings)


def distinct_colors(count: int) -> list[tuple[int, int, int]]:
    """Deterministic, clearly distinct colors (R, G, B).

    Each is the color of a grid, without dark and gray ones, that is farthest
    in Lab space from those before it. After 168 colors they repeat.
    """
    levels = np.linspace(0, 255, 6).astype(int).tolist()
    grid = [c for c in product(levels[::-1], repeat=3)
            if max(c) > 128 and max(c) - min(c) > 64]
    lab = cv2.cvtColor(np.float32([grid]) / 255, cv2.COLOR_RGB2LAB)[0]
    chosen = [grid.index((255, 0, 0))]
    distance = np.full(len(grid), np.inf)
    while len(chosen) < len(grid):
        step = np.linalg.norm(lab - lab[chosen[-1]], axis=1)
        distance = np.minimum(distance, step)
        chosen.append(int(distance.argmax()))
    return [grid[chosen[i % len(grid)]] for i in range(count)]


def with_palette(dataset: BaseDataset, settings: dict) -> dict[str, Any]:
    """Metainfo of a data set with distinct colors of the classes.

    Without a palette, MMDetection and MMSegmentation use random colors or
    those of COCO, which can be alike.

    Args:
        dataset: Data set.
        settings: Config of the data set.
    """
    meta, own = dataset.metainfo, type(dataset).METAINFO
    classes = meta.get('classes') or ()
    has_palette = 'palette' in (settings.get('metainfo') or {}) or (
        'palette' in own and set(classes) <= set(own.get('classes') or ()))
    if classes and not has_palette:
        meta['palette'] = distinct_colors(len(classes))
    return meta


def build_visualizer(cfg: Config, dataset: BaseDataset) -> Visualizer:
    """Build the visualizer of a config without its backends."""
    visualizer = VISUALIZERS.build(dict(cfg.visualizer, vis_backends=None))
    visualizer.dataset_meta = with_palette(dataset,
                                           cfg.test_dataloader.dataset)
    return visualizer


@torch.no_grad()
def draw_image(model: nn.Module, dataset: BaseDataset, info: dict,
               visualizer: Visualizer, score_thr: float, draw_gt: bool,
               out: Path) -> np.ndarray:
    """Predict and draw one image.

    Args:
        model: Detector or segmentor in eval mode.
        dataset: Data set whose pipeline is used.
        info: Entry of the data set for the image.
        visualizer: Visualizer of MMDetection or MMSegmentation.
        score_thr: Minimum score of the detections to draw.
        draw_gt: Whether to draw the ground truth.
        out: File to write.

    Returns:
        The picture, uint8 (H, W, 3), BGR.

    Raises:
        ValueError: The image cannot be read.
    """
    try:
        image = decode_image(Path(info['img_path']).read_bytes())
    except ImageDecodeError as error:
        raise ValueError(f'"{info["img_path"]}" {error}.') from error
    sample = model.test_step(pseudo_collate([dataset.pipeline(info)]))[0]
    options = dict(pred_score_thr=score_thr) if is_detector(model) else {}
    # The visualizers jitter the colors of instances at random.
    np.random.seed(0)
    visualizer.add_datasample(
        out.stem, image[..., ::-1].copy(), sample, draw_gt=draw_gt,
        out_file=str(out), **options)
    return cv2.imread(str(out))


def contact_sheet(pictures: Sequence[np.ndarray]) -> np.ndarray:
    """Stack pictures vertically, scaled to the same width."""
    rows = []
    for picture in pictures:
        height, width = picture.shape[:2]
        row = cv2.resize(
            picture, (WIDTH, max(1, round(height * WIDTH / width))),
            interpolation=cv2.INTER_AREA
            if width > WIDTH else cv2.INTER_CUBIC)
        rows += [row, np.full((GAP, WIDTH, 3), 255, np.uint8)]
    return np.vstack(rows[:-1])


def draw_predictions(cfg: Config, checkpoint: str, out: Path, num: int = 8,
                     score_thr: float = 0.3,
                     images: Sequence[str] | None = None,
                     device: str = 'cpu') -> int:
    """Draw predictions on images of the test set or on other images.

    Args:
        cfg: Config of MMDetection or MMSegmentation.
        checkpoint: File with the weights of its model.
        out: Output folder.
        num: Number of images of the test set, or per folder in ``images``.
        score_thr: Minimum score of the detections to draw.
        images: Files and folders to predict on instead of the test set.
        device: 'cuda' or 'cpu'.

    Returns:
        Number of pictures.

    Raises:
        ValueError: An image, the model or the checkpoint is invalid.
    """
    files = find_images(images or (), num)
    init_default_scope(cfg.get('default_scope', 'mmengine'))
    model = load_model(cfg, checkpoint, device)
    dataset = build_dataset(cfg, annotated=not files)
    infos = [dict(img_path=str(path), img_id=i)
             for i, path in enumerate(files)]
    if not files:
        infos = [dataset.get_data_info(i)
                 for i in spaced(range(len(dataset)), num)]
    if not infos:
        raise ValueError('the test set of the config has no images.')
    visualizer = build_visualizer(cfg, dataset)
    out.mkdir(parents=True, exist_ok=True)
    pictures = [
        draw_image(model, dataset, info, visualizer, score_thr, not files,
                   out / f'{i:03d}_{Path(info["img_path"]).stem}.png')
        for i, info in enumerate(infos)
    ]
    if not cv2.imwrite(str(out / SHEET), contact_sheet(pictures)):
        raise OSError(f'cannot write the picture {out / SHEET}.')
    return len(pictures)


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='detection or segmentation config')
    parser.add_argument('checkpoint', help='checkpoint of its model')
    parser.add_argument(
        '--out', type=Path, required=True, help='folder for the pictures')
    parser.add_argument(
        '--num',
        type=int,
        default=8,
        help='number of evenly spaced images of the test set, or per folder')
    parser.add_argument(
        '--score-thr',
        type=float,
        default=0.3,
        help='minimum score of the detections to draw')
    parser.add_argument(
        '--images',
        nargs='+',
        metavar='PATH',
        help='files and folders to predict on instead of the test set')
    parser.add_argument(
        '--device',
        choices=['cuda', 'cpu'],
        default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override config settings')
    args = parser.parse_args()
    if args.num < 1:
        parser.error(f'--num must be at least 1, got {args.num}.')
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('no GPU is available: use --device cpu.')
    return args


@report_errors
def main() -> None:
    """Draw the pictures."""
    args = parse_args()
    cfg = read_config(args.config, args.cfg_options)
    count = draw_predictions(cfg, args.checkpoint, args.out, args.num,
                             args.score_thr, args.images, args.device)
    print(f'{args.out}: {count} pictures, combined in {SHEET}.')


if __name__ == '__main__':
    main()
