"""Compare the data pipeline with a torchvision / Pillow pipeline.

Both cut 2 x 224 + 10 x 96 crops with the published augmentations from the same
JPEG files on one core; ours also draws the masks. Reports milliseconds per
image for each operation, the ratio of the totals, and block masks per second.

    python tools/benchmarks/data.py
    python tools/benchmarks/data.py --images path/to/jpegs
"""

import argparse
import io
import platform
import random
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image, ImageFilter, ImageOps
from torchvision import transforms
from torchvision.transforms import InterpolationMode

from ibot_mm.datasets.transforms import (
    BlockMaskGenerator,
    LoadImage,
    MaskGlobalCrops,
    MultiCrop,
    photometric,
)
from ibot_mm.datasets.transforms import multi_crop as multi_crop_module

GLOBAL = dict(size=224, scale=(0.25, 1.0))
LOCAL = dict(size=96, scale=(0.05, 0.25))
MASKS = BlockMaskGenerator([0, 0.3], [0, 0.2])
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Clock:
    """Accumulates the time of named operations in seconds."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def measure(self, name: str):
        """Add the time of the block to ``name``."""
        start = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - start

    def wrap(self, name: str, function: Callable) -> Callable:
        """Wrap a function to add its time to ``name``."""

        def timed(*args, **kwargs):
            with self.measure(name):
                return function(*args, **kwargs)

        return timed


def make_images(folder: Path, count: int) -> list[Path]:
    """Write photo-like 500 x 375 JPEG files of about 83 kB (quality 90)."""
    rng = np.random.default_rng(0)
    paths = []
    for i in range(count):
        image = sum(
            cv2.resize(
                rng.normal(0, 1, (375 // s + 2, 500 // s + 2, 3)), (500, 375),
                interpolation=cv2.INTER_CUBIC) * w
            for s, w in ((1, 9), (4, 17), (32, 35), (120, 35))) + 118
        path = folder / f'{i}.jpg'
        cv2.imwrite(str(path), np.clip(image, 0, 255).astype(np.uint8),
                    [cv2.IMWRITE_JPEG_QUALITY, 90])
        paths.append(path)
    return paths


class TorchvisionPipeline:
    """The published augmentations with torchvision on Pillow images."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        jitter = transforms.ColorJitter(0.4, 0.4, 0.2, 0.1)
        self.jitter = clock.wrap('color jitter', jitter)
        self.gray = clock.wrap(
            'gray', lambda x: transforms.functional.rgb_to_grayscale(x, 3))
        self.blur = clock.wrap(
            'blur', lambda x: x.filter(
                ImageFilter.GaussianBlur(random.uniform(0.1, 2.0))))
        self.solarize = clock.wrap('solarize', ImageOps.solarize)
        self.tensor = clock.wrap(
            'tensor and normalize',
            transforms.Compose([
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]))
        self.crops = {
            name: clock.wrap(
                f'{name} crop and resize',
                transforms.RandomResizedCrop(
                    view['size'],
                    scale=view['scale'],
                    interpolation=InterpolationMode.BICUBIC))
            for name, view in (('global', GLOBAL), ('local', LOCAL))
        }

    def view(self, image, kind: str, blur: float, solarize: float):
        """Cut and augment a crop."""
        crop = self.crops[kind](image)
        if random.random() < 0.5:
            crop = ImageOps.mirror(crop)
        if random.random() < 0.8:
            crop = self.jitter(crop)
        if random.random() < 0.2:
            crop = self.gray(crop)
        if random.random() < blur:
            crop = self.blur(crop)
        if random.random() < solarize:
            crop = self.solarize(crop)
        return self.tensor(crop)

    def __call__(self, path: Path):
        """Load a file and cut its crops."""
        with self.clock.measure('decode'):
            image = Image.open(io.BytesIO(path.read_bytes())).convert('RGB')
        crops = [
            self.view(image, 'global', 1.0, 0.),
            self.view(image, 'global', 0.1, 0.2)
        ]
        return crops + [
            self.view(image, 'local', 0.5, 0.) for _ in range(10)
        ]


class OurPipeline:
    """The transforms of this package with the published settings."""

    def __init__(self, clock: Clock) -> None:
        self.load = clock.wrap('decode', LoadImage().transform)
        self.crop = MultiCrop(
            [
                dict(**GLOBAL, blur_prob=1.0),
                dict(**GLOBAL, blur_prob=0.1, solarize_prob=0.2)
            ],
            [dict(**LOCAL, num=10, blur_prob=0.5)],
        )
        self.mask = clock.wrap(
            'masks',
            MaskGlobalCrops(MASKS, patch_size=16).transform)

    def __call__(self, path: Path):
        """Load a file, cut its crops and draw the masks."""
        results = dict(
            img_path=str(path), rng=random.Random(random.random()))
        return self.mask(self.crop(self.load(results)))


@contextmanager
def timed_operations(clock: Clock):
    """Time the operations of ``MultiCrop`` that run in the block."""
    resize = multi_crop_module.resize
    names = dict(
        to_gray='gray', gaussian_blur='blur', solarize='solarize')
    saved = {name: getattr(multi_crop_module, name) for name in names}
    jitter = photometric.ColorJitter.__call__

    def timed_resize(image, size):
        kind = 'global' if size[0] == GLOBAL['size'] else 'local'
        with clock.measure(f'{kind} crop and resize'):
            return resize(image, size)

    multi_crop_module.resize = timed_resize
    for name, label in names.items():
        setattr(multi_crop_module, name, clock.wrap(label, saved[name]))
    photometric.ColorJitter.__call__ = clock.wrap('color jitter', jitter)
    try:
        yield
    finally:
        multi_crop_module.resize = resize
        for name, function in saved.items():
            setattr(multi_crop_module, name, function)
        photometric.ColorJitter.__call__ = jitter


def block_masks_per_second(draws: int = 20000) -> float:
    """Rate of drawing masks of 14 x 14 patches; best of three runs."""
    draw, rng = MASKS.draw, random.Random(0)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        for _ in range(draws):
            draw((14, 14), rng)
        seconds.append(time.perf_counter() - start)
    return draws / min(seconds)


def main() -> None:
    """Measure both pipelines alternately and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--images', type=Path, help='folder of JPEG files')
    parser.add_argument('--count', type=int, default=50, help='images to use')
    parser.add_argument('--rounds', type=int, default=5, help='repetitions')
    args = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    random.seed(0)
    torch.manual_seed(0)

    with tempfile.TemporaryDirectory() as folder:
        paths = sorted(
            args.images.rglob('*.jp*g')) if args.images else make_images(
                Path(folder), args.count)
        paths = paths[:args.count]
        size = sum(p.stat().st_size for p in paths) / len(paths) / 1000
        clocks = dict(torchvision=Clock(), ibot_mm=Clock())
        pipelines = dict(
            torchvision=TorchvisionPipeline(clocks['torchvision']),
            ibot_mm=OurPipeline(clocks['ibot_mm']))
        totals = {name: [] for name in pipelines}
        for turn in range(args.rounds + 1):
            for name, pipeline in pipelines.items():
                if turn == 1:
                    clocks[name].seconds.clear()
                start = time.perf_counter()
                for path in paths:
                    pipeline(path)
                if turn:
                    totals[name].append(time.perf_counter() - start)
        # Separately, because timing the operations has a small cost.
        with timed_operations(clocks['ibot_mm']):
            clocks['ibot_mm'].seconds.clear()
            for _ in range(args.rounds):
                for path in paths:
                    pipelines['ibot_mm'](path)

    images = args.rounds * len(paths)
    print(f'{platform.processor() or platform.machine()}, one core, '
          f'{len(paths)} images of {size:.0f} kB, median of {args.rounds} '
          'rounds; ms per image\n')
    medians = {
        name: sorted(values)[len(values) // 2] / len(paths) * 1e3
        for name, values in totals.items()
    }
    print(f'{"operation":28}{"torchvision":>12}{"ibot_mm":>10}')
    operations = dict.fromkeys([*clocks['torchvision'].seconds,
                                *clocks['ibot_mm'].seconds])
    for operation in operations:
        row = ''.join(
            f'{clocks[name].seconds[operation] / images * 1e3:{width}.2f}'
            for name, width in (('torchvision', 12), ('ibot_mm', 10)))
        print(f'{operation:28}{row}')
    print(f'{"complete sample":28}{medians["torchvision"]:12.2f}'
          f'{medians["ibot_mm"]:10.2f}')
    print(f'\nratio {medians["torchvision"] / medians["ibot_mm"]:.2f}x')
    fraction = (
        clocks['ibot_mm'].seconds['masks'] / images * 1e3 / medians['ibot_mm'])
    print(f'{block_masks_per_second():.0f} block masks per second; masks '
          f'take {fraction:.1%} of the time per sample')


if __name__ == '__main__':
    main()
