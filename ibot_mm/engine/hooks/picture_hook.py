"""Draw what the teacher has learned while it is trained."""

import math
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import cv2
import numpy as np
import torch
from mmengine.hooks import Hook
from torch import nn

from ibot_mm.datasets.image_lists import evenly_spaced
from ibot_mm.distributed.unwrap import unsharded_model, unwrapped_model
from ibot_mm.registry import HOOKS
from ibot_mm.visualization.attention import (
    cls_attention,
    has_cls_token,
    overlay,
)
from ibot_mm.visualization.cell_size import cell_size
from ibot_mm.visualization.pca import (
    color_patches,
    fit_colors,
    match_colors,
    recolored,
)
from ibot_mm.visualization.strip import SIDE, Strip, label

STRIP = Path('pictures', 'strip.png')


def _as_it_is() -> AbstractContextManager:
    """Run compiled blocks eagerly: this size would compile them again."""
    if hasattr(torch.compiler, 'set_stance'):  # PyTorch 2.6
        return torch.compiler.set_stance('force_eager')
    return nullcontext()


def drawable(image: np.ndarray) -> np.ndarray:
    """An image (H, W, C) of any kind as uint8 BGR (H, W, 3).

    What is not a color image of 8 bits is drawn as the mean of its channels.
    """
    if image.dtype == np.uint8 and image.shape[-1] == 3:
        return image
    gray = image.reshape(*image.shape[:2], -1).mean(2, dtype=np.float64)
    gray = 255 * (gray - gray.min()) / max(np.ptp(gray), 1e-12)
    return np.repeat(gray.round().astype(np.uint8)[..., None], 3, axis=2)


@HOOKS.register_module()
class PictureHook(Hook):
    """Draw attention and components of the teacher at each validation.

    The images are always the same: some of the validation, at equal
    distances in its list, or of the training where there is no validation,
    which gets its pictures at the end. Their center square is resized to
    ``patches`` patches, more than in the training, because few patches show
    little. Drawn are the attention of the CLS token, which Swin lacks
    (:func:`ibot_mm.visualization.attention.overlay`), and the first three
    components of all patches of these images. The components are those of
    the network at that time; only their order and signs, which are
    arbitrary, follow the row before.

    They go to the backends of the visualizer as ``pictures``, and in small to
    ``pictures/strip.png`` in the work directory: the images, then one row per
    validation, which a resumed run continues.

    Only rank 0 draws. No random numbers are used. What fails is a warning.

    Args:
        count: Number of images; 0 for no pictures.
        patches: Patches along the side of the square.
    """

    priority = 'LOW'

    def __init__(self, count: int = 4, patches: int = 24) -> None:
        self.count = count
        self.patches = patches
        self.strip: Strip | None = None
        self._continued: int | None = None  # the iteration; None: no training
        self._images: list[np.ndarray] = []

    def before_train(self, runner) -> None:
        """Remember where the training starts."""
        self._continued = runner.iter

    def after_val_epoch(self, runner, metrics: dict | None = None) -> None:
        """Draw, in a training."""
        if self._continued is not None:
            self._update(runner)

    def after_train(self, runner) -> None:
        """Draw if there was no validation; name the file."""
        if runner.val_loop is None:
            self._update(runner)
        if self.strip is not None and self.strip.rows:
            runner.logger.info('What the teacher has learned, in pictures: '
                               f'"{self.strip.path}"')

    def _update(self, runner) -> None:
        if not self.count:
            return
        with unsharded_model(runner) as model:  # a collective call
            if runner.rank:
                return
            try:
                with _as_it_is():
                    self._draw(runner, model.teacher.backbone.eval())
            except Exception as error:  # no run ends here
                runner.logger.warning(
                    f'No pictures after iteration {runner.iter}: '
                    f'{type(error).__name__}: {error}. The training goes on; '
                    'default_hooks.pictures.count=0 draws none.')

    def _load(self, runner, side: int) -> list[np.ndarray]:
        """The images, square, as their data set reads them."""
        loader = (runner.train_dataloader if runner.val_loop is None else
                  runner.val_loop.dataloader)
        dataset, images = loader.dataset, []
        for i in evenly_spaced(len(dataset), self.count):
            image = dataset.pipeline.transforms[0](
                dataset.get_data_info(i))['img']
            height, width = image.shape[:2]
            short = min(height, width)
            top, left = (height - short) // 2, (width - short) // 2
            square = image[top:top + short, left:left + short]
            images.append(cv2.resize(
                square, (side, side), interpolation=cv2.INTER_AREA
                if short > side else cv2.INTER_CUBIC))
        return images

    @torch.no_grad()
    def _draw(self, runner, backbone: nn.Module) -> None:
        if self.strip is None:
            self.strip = Strip(Path(runner.work_dir, STRIP), self._continued)
        if not self._images:
            self._images = self._load(
                runner, self.patches * cell_size(backbone))
        images = [drawable(image) for image in self._images]
        inputs = unwrapped_model(runner).data_preprocessor(dict(inputs=[
            torch.from_numpy(np.float32(image)).view(*image.shape[:2], -1)
            .permute(2, 0, 1) for image in self._images]))['inputs']
        tokens = backbone.extract_last_blocks(inputs, 1)[-1][1].float().cpu()
        grids = tokens.unflatten(1, (math.isqrt(tokens.shape[1]), -1))
        basis = fit_colors(list(grids), foreground=False)
        attention = None
        if has_cls_token(backbone):
            attention = cls_attention(backbone, inputs)

        def panels(side: int) -> list[np.ndarray]:
            """Images, attention if there is one, and components."""
            shown = [cv2.resize(image, (side, side),
                                interpolation=cv2.INTER_AREA)
                     for image in images]
            pictures = [shown]
            if attention is not None:
                pictures.append(list(map(overlay, shown, attention)))
            pictures.append([color_patches(grid, basis, (side, side), True)
                             for grid in grids])
            return [np.hstack(row) for row in pictures]

        small, large = panels(SIDE), panels(len(images[0]))
        width = SIDE + sum(part.shape[1] for part in small[1:])
        last = self.strip.last(width)
        if last is not None:
            match = match_colors(small[-1], last[:, -small[-1].shape[1]:])
            small[-1], large[-1] = (
                recolored(rows[-1], *match) for rows in (small, large))
        runner.visualizer.add_image(
            'pictures', np.vstack(large)[..., ::-1], runner.iter)
        self.strip.add(
            runner.iter,
            np.hstack([label(f'epoch {runner.epoch}'), *small[1:]]),
            np.hstack([label('images'), *[small[0]] * (len(small) - 1)]))
