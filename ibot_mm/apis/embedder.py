"""Features of images, from any checkpoint of a backbone."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmengine.registry import DefaultScope
from torch import Tensor

from ibot_mm.checkpoints.architecture import backbone_config
from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.load_log import log_loaded
from ibot_mm.checkpoints.official.state_dict import strip_prefix
from ibot_mm.checkpoints.pretrained import network_taken, select_network
from ibot_mm.checkpoints.stored_config import hidden_settings, stored_config
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.models import MultiCropDataPreprocessor
from ibot_mm.registry import MODELS
from ibot_mm.visualization.cell_size import cell_size

from .preparation import image_pipeline, in_words, normalization

Image = str | Path | np.ndarray


class ImageFeatures(NamedTuple):
    """Features of B images, float32, on the CPU.

    Attributes:
        cls: CLS token, (B, C); of a Swin transformer the mean token.
        patch_mean: Mean of the patch tokens, (B, C).
        patches: Patch tokens on their grid, (B, h, w, C).
    """

    cls: Tensor
    patch_mean: Tensor
    patches: Tensor


class Embedder:
    """Features of images, from any checkpoint of a ViT or Swin transformer.

    The architecture is worked out from the weights. What these do not show
    (number of heads, image size, channels of files, normalization) is taken
    from the config that a run stores in its checkpoints. Without one it is
    that of the published network of this size and of ImageNet; the log says
    so. Images are prepared as in the validation of the run, or without one as
    in the k-NN protocol: the short edge is resized to 256 (bicubic), the
    center is cropped to 224.

    Args:
        checkpoint: File, address, or folder of Hugging Face: everything that
            :func:`ibot_mm.checkpoints.pretrained.select_network` knows.
        network: 'teacher' or 'student', for checkpoints that hold both.
        device: Device to compute on; None for the GPU if there is one.
        batch_size: Number of images that are computed at a time.
        resize: Length of the short edge before the center crop, in pixels;
            with this or ``crop`` the run's own preparation is not used.
        crop: Side of the center crop in pixels.
        mean: Mean per channel in pixel values (RGB if there are three).
        std: Standard deviation per channel; goes with ``mean``.
        **settings: Arguments of
            :func:`ibot_mm.checkpoints.architecture.backbone_config`, such as
            ``num_heads`` and ``img_size``; None leaves one to the checkpoint.

    Raises:
        CheckpointError: The checkpoint cannot be read, or it does not show
            its architecture or the normalization.

    Attributes:
        device, batch_size: The arguments.
        backbone: ``IBOTViT`` or ``IBOTSwin`` in eval mode.
        architecture: Its config.
        config: The config that the checkpoint stores; {} without one.
        pipeline: Configs of the transforms that prepare an image.
        normalization: ``mean``, ``std`` and ``to_rgb``.
    """

    def __init__(self,
                 checkpoint: str | Path,
                 network: str = 'teacher',
                 device: str | torch.device | None = None,
                 batch_size: int = 32,
                 resize: int | None = None,
                 crop: int | None = None,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 **settings: Any) -> None:
        content = load_checkpoint(str(checkpoint))
        self.config = stored_config(content)
        state = strip_prefix(select_network(content, network), 'backbone.')
        given = {k: v for k, v in settings.items() if v is not None}
        self.architecture = backbone_config(
            state, **{**hidden_settings(self.config), **given})
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self.backbone = MODELS.build(self.architecture)
        load_strict(self.backbone, dict(state), str(checkpoint))
        whose = network_taken(content, network)
        log_loaded(self.backbone, state, (
            f"the {whose}'s" if whose else 'the') + f' backbone in '
            f'"{checkpoint}"')
        self.device = torch.device(
            device or ('cuda' if torch.cuda.is_available() else 'cpu'))
        self.backbone.eval().to(self.device)
        self.batch_size = batch_size
        self.pipeline = image_pipeline(self.config, self.channels, resize,
                                       crop)
        self.normalization = normalization(self.config, self.channels, mean,
                                           std)
        with DefaultScope.overwrite_default_scope('mmpretrain'):
            self._prepare = Compose(self.pipeline)
        self._preprocessor = MultiCropDataPreprocessor(
            **self.normalization).to(self.device)
        print_log('images: ' + in_words(self.pipeline, self.normalization),
                  'current')

    @property
    def channels(self) -> int:
        """Number of input channels."""
        return self.backbone.patch_embed.projection.in_channels

    def load(self, image: Image) -> Tensor:
        """Read, resize and crop an image.

        Args:
            image: Path, or an array (H, W, C) with channels BGR.

        Returns:
            (C, H, W), not normalized.

        Raises:
            ImageDecodeError: The file cannot be read.
        """
        sample = dict(img=image) if isinstance(
            image, np.ndarray) else dict(img_path=str(image))
        return self._prepare(sample)['inputs']

    def normalize(self, inputs: Tensor) -> Tensor:
        """Images (B, C, H, W) of :meth:`load` as the backbone takes them."""
        return self._preprocessor(dict(inputs=inputs))['inputs']

    @torch.no_grad()
    def encode(self, inputs: Tensor, layer: int = -1) -> ImageFeatures:
        """Features of prepared images.

        Args:
            inputs: Stacked results of :meth:`load`, (B, C, H, W).
            layer: Block whose tokens are taken, from 0; negative ones count
                from the last. Those of a ViT are after its final norm.

        Raises:
            ValueError: There is no such block.
        """
        depth = len(self.backbone.block_widths)
        if not -depth <= layer < depth:
            raise ValueError(f'there is no layer {layer}: the backbone has '
                             f'{depth}, numbered from 0.')
        images = self.normalize(inputs)
        cls, patches = self.backbone.extract_last_blocks(
            images, -layer if layer < 0 else depth - layer)[0]
        rows = -(-images.shape[2] // cell_size(self.backbone))
        grid = patches.unflatten(1, (rows, -1))
        return ImageFeatures(cls.float().cpu(), patches.mean(1).float().cpu(),
                             grid.float().cpu())

    def __call__(self, images: Image | Sequence[Image],
                 layer: int = -1) -> ImageFeatures:
        """Features of images.

        Args:
            images: Paths, or arrays (H, W, C) with channels BGR, as OpenCV
                and MMPretrain have them.
            layer: As of :meth:`encode`.

        Raises:
            ImageDecodeError: A file cannot be read.
            ValueError: There are no images, or there is no such layer.
        """
        if isinstance(images, (str, Path, np.ndarray)):
            images = [images]
        if not len(images):
            raise ValueError('there are no images to compute features of.')
        parts = [
            self.encode(torch.stack([
                self.load(image)
                for image in images[start:start + self.batch_size]]), layer)
            for start in range(0, len(images), self.batch_size)
        ]
        return ImageFeatures(*map(torch.cat, zip(*parts)))
