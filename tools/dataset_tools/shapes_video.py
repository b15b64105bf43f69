"""Videos of moving shapes in the layout of DAVIS 2017."""

from pathlib import Path

import cv2
from PIL import Image
from shapes_scene import draw_video

# Number of the split in the seeds of the scenes.
VIDEO = 7
# Colors of background, first and second object.
PALETTE = [0, 0, 0, 128, 0, 0, 0, 128, 0]


def write_video(folder: Path, seed: int, num_videos: int = 6,
                num_frames: int = 24,
                size: tuple[int, int] = (160, 256)) -> None:
    """Write videos of two objects each, and their list.

    Args:
        folder: Folder to write to.
        seed: Seed.
        num_videos: Number of videos.
        num_frames: Frames per video.
        size: (H, W) of a frame in pixels.
    """
    names = [f'shapes{i:02d}' for i in range(num_videos)]
    for index, name in enumerate(names):
        frames, masks = (folder / kind / '480p' / name
                         for kind in ('JPEGImages', 'Annotations'))
        frames.mkdir(parents=True, exist_ok=True)
        masks.mkdir(parents=True, exist_ok=True)
        video = draw_video(seed, VIDEO, index, num_frames, size)
        for i, (image, labels) in enumerate(video):
            cv2.imwrite(str(frames / f'{i:05d}.jpg'), image)
            mask = Image.fromarray(labels)
            mask.putpalette(PALETTE)
            mask.save(masks / f'{i:05d}.png')
    lists = folder / 'ImageSets' / '2017'
    lists.mkdir(parents=True, exist_ok=True)
    (lists / 'val.txt').write_text(''.join(f'{name}\n' for name in names))
