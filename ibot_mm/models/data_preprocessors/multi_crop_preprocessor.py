"""Normalization on the device, for crops and for images."""

from collections.abc import Sequence

import torch
from mmengine.model import BaseDataPreprocessor, stack_batch
from torch import Tensor

from ibot_mm.registry import MODELS
from ibot_mm.structures import CropBatch


@MODELS.register_module()
class MultiCropDataPreprocessor(BaseDataPreprocessor):
    """Move a batch to the device, then flip channels and normalize there.

    Args:
        mean: Mean per channel in pixel values, in the order after ``to_rgb``;
            None disables normalization.
        std: Standard deviation per channel; None if ``mean`` is None.
        to_rgb: Whether to reverse 3 channels (MMCV's and our loading
            transforms return BGR).
        non_blocking: Whether the copy to the device is asynchronous.

    Raises:
        ValueError: ``mean`` and ``std`` differ in length, or only one is
            given.
    """

    def __init__(self,
                 mean: Sequence[float] | None = None,
                 std: Sequence[float] | None = None,
                 to_rgb: bool = False,
                 non_blocking: bool = True) -> None:
        super().__init__(non_blocking=non_blocking)
        if (mean is None) != (std is None):
            raise ValueError('MultiCropDataPreprocessor: give both mean and '
                             'std, or neither.')
        if mean is not None and len(mean) != len(std):
            raise ValueError('MultiCropDataPreprocessor: mean has '
                             f'{len(mean)} values and std {len(std)}.')
        self.to_rgb = to_rgb
        self.normalize = mean is not None
        if self.normalize:
            self.register_buffer(
                'mean', torch.tensor(mean).view(-1, 1, 1), False)
            self.register_buffer(
                'std', torch.tensor(std).view(-1, 1, 1), False)

    def _prepare(self, images: Tensor) -> Tensor:
        """Images (..., C, H, W) of any dtype as float32, normalized."""
        if self.to_rgb and images.shape[-3] == 3:
            images = images.flip(-3)
        images = images.to(torch.float32, copy=True)
        if self.normalize:
            if images.shape[-3] != len(self.mean):
                raise ValueError(
                    f'MultiCropDataPreprocessor: images have '
                    f'{images.shape[-3]} channels, mean has {len(self.mean)}.')
            images = images.sub_(self.mean).div_(self.std)
        return images

    def forward(self, data: dict, training: bool = False) -> dict:
        """Preprocess a batch of crops or of images.

        Args:
            data: Batch of ``multi_crop_collate``, or ``inputs`` (a list of
                (C, H, W) tensors or a (B, C, H, W) tensor) and
                ``data_samples``.
            training: Not used.

        Returns:
            ``inputs`` and ``data_samples``.
        """
        data = self.cast_data(data)
        inputs = data['inputs']
        if isinstance(inputs, CropBatch):
            inputs = CropBatch(
                [view._replace(crops=self._prepare(view.crops))
                 for view in inputs.global_views],
                [self._prepare(crops) for crops in inputs.local_crops])
        else:
            if not isinstance(inputs, Tensor):
                inputs = stack_batch(inputs)
            inputs = self._prepare(inputs)
        return dict(inputs=inputs, data_samples=data.get('data_samples'))
