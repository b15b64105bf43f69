"""What evaluators look at during a pre-training."""

from functools import cached_property

import torch
from torch import Tensor, nn

from .features import Features
from .views import ViewDataset, ViewFeatures, extract_views


class FrozenTeacher:
    """A teacher at a validation, and what it makes of the images.

    What evaluators share is computed when the first of them reads it. All
    ranks have to read the same things in the same order.

    Args:
        model: The ``IBOT``, neither wrapped nor sharded.
        preprocessor: The data preprocessor.
        features: CLS tokens of the teacher for the validation images.
        views: Augmented views of some of them.
        batch_size: Number of images in a batch.
        num_workers: Number of workers that load images.
    """

    def __init__(self, model: nn.Module, preprocessor: nn.Module,
                 features: Features, views: ViewDataset, batch_size: int,
                 num_workers: int) -> None:
        self.model = model
        self.preprocessor = preprocessor
        self.features = features
        self.batch_size = batch_size
        self.num_workers = num_workers
        self._views = views

    @property
    def backbone(self) -> nn.Module:
        """The teacher's backbone."""
        return self.model.teacher.backbone

    @property
    def device(self) -> torch.device:
        """Where the teacher is."""
        return next(self.backbone.parameters()).device

    @cached_property
    @torch.no_grad()
    def assignments(self) -> Tensor:
        """The most likely prototype of each validation image, int64 (N, )."""
        return torch.cat([
            self.model.teacher.neck(chunk.to(self.device))[0].argmax(1).cpu()
            for chunk in self.features.vectors.split(1024)])

    @cached_property
    def views(self) -> ViewFeatures:
        """Features of the views."""
        num_images = max(self.batch_size // self._views.num_views, 1)
        return extract_views(self.backbone, self.preprocessor,
                             self._views, num_images, self.num_workers)
