"""Draw crops with their masks as the model sees them.

Each row shows an image and its crops. Masked patches are hatched.

    python tools/visualization/browse_crops.py CONFIG --out crops.png
"""

import argparse
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import DATASETS, MODELS, init_default_scope

import ibot_mm  # noqa: F401  (checks the installation first)
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)
from ibot_mm.datasets import PretrainSampler, multi_crop_collate
from ibot_mm.datasets.transforms import decode_image

HEIGHT, GAP = 160, 6


def unnormalize(images: torch.Tensor, preprocessor) -> np.ndarray:
    """Convert model inputs (B, C, H, W) to (B, H, W, 3) uint8 BGR."""
    if preprocessor.normalize:
        images = images * preprocessor.std + preprocessor.mean
    if preprocessor.to_rgb:
        images = images.flip(1)
    images = images[:, :3].permute(0, 2, 3, 1)
    return images.round().clamp(0, 255).byte().numpy()


def shade_mask(image: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Hatch the masked patches."""
    height, width = image.shape[:2]
    full = cv2.resize(
        mask.astype(np.uint8), (width, height),
        interpolation=cv2.INTER_NEAREST).astype(bool)
    rows, columns = np.indices(full.shape)
    stripes = ((rows + columns) // 4 % 2).astype(bool)
    shaded = image.copy()
    shaded[full] = image[full] // 3
    shaded[full & stripes] = image[full & stripes] // 3 + 110
    return shaded


def enlarge(image: np.ndarray, height: int) -> np.ndarray:
    """Scale to a height; enlarging does not interpolate."""
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    shrinks = image.shape[0] > height
    return cv2.resize(
        image, (width, height),
        interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_NEAREST)


def draw_row(panels: list[np.ndarray]) -> np.ndarray:
    """Place panels side by side on white."""
    gap = np.full((HEIGHT, GAP, 3), 255, np.uint8)
    return np.hstack([part for panel in panels for part in (panel, gap)])


def draw_batch(cfg: Config, count: int, epoch: int = 0) -> np.ndarray:
    """Draw the crops of the first images of an epoch.

    Args:
        cfg: Pre-training config.
        count: Number of images.
        epoch: Epoch for which crops and masks are drawn.

    Returns:
        uint8 (H, W, 3), BGR.
    """
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    sampler = PretrainSampler(
        dataset, shuffle=True, seed=cfg.get('randomness', {}).get('seed', 0))
    sampler.set_epoch(epoch)
    indices = [index for index, _ in zip(sampler, range(count))]
    samples = [dataset[index] for index in indices]
    preprocessor = MODELS.build(cfg.model.data_preprocessor)
    inputs = preprocessor(multi_crop_collate(samples))['inputs']
    views = [unnormalize(view.crops, preprocessor)
             for view in inputs.global_views]
    masks = [view.mask.numpy() for view in inputs.global_views]
    views += [unnormalize(crops, preprocessor)
              for group in inputs.local_crops for crops in group]

    rows = []
    for i, index in enumerate(indices):
        image = decode_image(
            Path(dataset.get_data_info(int(index))['img_path']).read_bytes())
        panels = [enlarge(image, HEIGHT)]
        for v, crops in enumerate(views):
            side = HEIGHT if v < len(masks) else HEIGHT * 5 // 8
            crop = enlarge(crops[i], side)
            if v < len(masks):
                crop = shade_mask(crop, masks[v][i])
            panels.append(
                cv2.copyMakeBorder(
                    crop,
                    0,
                    HEIGHT - side,
                    0,
                    0,
                    cv2.BORDER_CONSTANT,
                    value=(255, 255, 255)))
        rows.append(draw_row(panels))
    width = max(row.shape[1] for row in rows)
    rows = [
        cv2.copyMakeBorder(
            row,
            0,
            GAP,
            0,
            width - row.shape[1],
            cv2.BORDER_CONSTANT,
            value=(255, 255, 255)) for row in rows
    ]
    return np.vstack(rows)


@report_errors
def main() -> None:
    """Draw and save the picture."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='pre-training config')
    parser.add_argument('--out', default='crops.png', help='picture to write')
    parser.add_argument('--count', type=int, default=8, help='images')
    parser.add_argument('--epoch', type=int, default=0, help='epoch, from 0')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override config settings')
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    picture = draw_batch(cfg, args.count, args.epoch)
    Path(args.out).parent.mkdir(parents=True, exist_ok=True)
    if not cv2.imwrite(args.out, picture):
        raise OSError(f'cannot write the picture {args.out}.')
    print(f'{args.out}: {args.count} images, each with its crops; masked '
          'patches are hatched.')


if __name__ == '__main__':
    main()
