"""Normalization on the device, for crops and for images."""

from collections.abc import Sequence
from functools import lru_cache

import torch
from mmengine.model import BaseDataPreprocessor, stack_batch
from torch import Tensor
from torch.utils._pytree import tree_flatten

from ibot_mm.registry import MODELS
from ibot_mm.structures import CropBatch


@lru_cache
def _copy_stream(device: torch.device) -> torch.cuda.Stream:
    return torch.cuda.Stream(device)


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
        if not self.normalize:
            return images.to(torch.float32, copy=True)
        if images.shape[-3] != len(self.mean):
            raise ValueError(
                f'MultiCropDataPreprocessor: images have {images.shape[-3]} '
                f'channels, mean has {len(self.mean)}.')
        # The first kernel converts, too: the result is float32.
        return (images - self.mean).div_(self.std).float()

    def _copy(self, batch: CropBatch) -> CropBatch:
        """Move crops to the device, beside what a GPU still computes."""
        if self.device.type != 'cuda':
            return self.cast_data(batch)
        copies = _copy_stream(self.device)
        with torch.cuda.stream(copies):
            batch = self.cast_data(batch)
        stream = torch.cuda.current_stream(self.device)
        stream.wait_stream(copies)
        for tensor in tree_flatten(batch)[0]:
            tensor.record_stream(stream)
        return batch

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
        samples = self.cast_data(data.get('data_samples'))
        if isinstance(data['inputs'], CropBatch):
            inputs = self._copy(data['inputs'])
            inputs = CropBatch(
                [view._replace(crops=self._prepare(view.crops))
                 for view in inputs.global_views],
                [self._prepare(crops) for crops in inputs.local_crops])
        else:
            inputs = self.cast_data(data['inputs'])
            if not isinstance(inputs, Tensor):
                inputs = stack_batch(inputs)
            inputs = self._prepare(inputs)
        return dict(inputs=inputs, data_samples=samples)
