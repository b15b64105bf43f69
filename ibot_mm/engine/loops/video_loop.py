"""Test loop for the propagation of masks through videos."""

import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from mmengine.dist import all_gather_object
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ibot_mm.datasets.davis import read_mask
from ibot_mm.distributed.unwrap import unsharded_model
from ibot_mm.evaluation.video import VOID, labels_from_soft, score_frame
from ibot_mm.evaluation.video.propagation import resize_labels
from ibot_mm.registry import EVALUATORS, LOOPS

from .evaluation_loop import EvaluationLoop


@LOOPS.register_module()
class VideoSegmentationTestLoop(EvaluationLoop):
    """Propagate the masks of the first frames and score the others.

    The videos are distributed over the ranks.

    Args:
        runner: The runner; its model is a ``FeatureExtractor``, of which the
            patch tokens are used.
        dataloader: Config of the data loader of ``DAVIS``, whose sampler
            gives each rank its videos. Its workers are not used.
        protocol: Config of ``LabelPropagation``.
        evaluator: Not used; MMEngine requires one, ``[]`` is enough.
        out_dir: Folder for the predicted masks, indexed PNG files in a folder
            for each video, which other scorers can read; None writes none.
    """

    def __init__(self,
                 runner,
                 dataloader: DataLoader | dict,
                 protocol: dict,
                 evaluator=None,
                 out_dir: str | None = None) -> None:
        super().__init__(runner, dataloader)
        self.protocol = EVALUATORS.build(protocol)
        self.out_dir = out_dir

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Run the protocol.

        Returns:
            ``davis/J&F``, ``davis/J`` and ``davis/F`` in percent: means over
            the frames of an object without the first and the last, then over
            the objects of all videos.

        Raises:
            ValueError: A video has no object, features are non-finite, or
                the frames do not fit the patches.
        """
        scores, start = [], time.perf_counter()
        sampler, dataset = self.dataloader.sampler, self.dataloader.dataset
        with unsharded_model(self.runner) as model:
            for i, index in enumerate(sampler, 1):
                video = dataset.get_data_info(index)
                scores.append(self._segment(model, video))
                j, f = 100 * scores[-1].mean(axis=0)
                left = (time.perf_counter() - start) * (len(sampler) / i - 1)
                print_log(
                    f'video [{i}/{len(sampler)}] {video["name"]}: '
                    f'{len(scores[-1])} objects, J {j:.1f}, F {f:.1f}  '
                    f'eta: {left:.0f} s', 'current', logging.INFO)
        parts = all_gather_object(scores)
        j, f = np.concatenate(sum(parts, [])).mean(axis=0)
        metrics = {'davis/J&F': 50 * (j + f), 'davis/J': 100 * j,
                   'davis/F': 100 * f}
        return {name: float(value) for name, value in metrics.items()}

    def _segment(self, model: nn.Module, video: dict) -> np.ndarray:
        """Mean J and F of each object of a video, (objects, 2)."""
        paths = video['masks']
        first, palette = read_mask(paths[0])
        num_objects = int(first[first != VOID].max(initial=0))
        if not num_objects:
            raise ValueError(f'"{paths[0]}" has no object; remove the video '
                             f'"{video["name"]}" from the list.')
        self._write(video['name'], paths[0], first, palette)
        masks = self.protocol(self._grids(model, video['frames']),
                              np.where(first == VOID, 0, first))
        size = self.dataloader.dataset.read_frame(video['frames'][0]).shape[1:]
        scores = []
        for path, soft in zip(paths[1:], masks):
            truth, _ = read_mask(path)
            predicted = resize_labels(
                labels_from_soft(soft, size), truth.shape)
            self._write(video['name'], path, predicted, palette)
            if path != paths[-1]:
                scores.append(score_frame(predicted, truth, num_objects))
        return np.mean(scores, axis=0)

    def _grids(self, model: nn.Module, paths: list[str]) -> Iterator[Tensor]:
        """Features (h, w, C) of one frame after the other."""
        for path in paths:
            frame = self.dataloader.dataset.read_frame(path)
            images = model.data_preprocessor(dict(inputs=frame[None]), False)
            tokens = model.backbone.extract_tokens(images['inputs'])[1][0]
            if not torch.isfinite(tokens).all():
                raise ValueError(f'the features of "{path}" contain NaN or '
                                 'infinity: the checkpoint is damaged.')
            height, width = frame.shape[1:]
            patch = round((height * width / len(tokens))**0.5)
            if height % patch or width % patch:
                raise ValueError(
                    f'frames of {height} x {width} pixels do not divide into '
                    f'patches of {patch}: set short_side and divisor of '
                    'ResizeShortSide to multiples of it.')
            yield tokens.unflatten(0, (height // patch, width // patch))

    def _write(self, video: str, path: str, labels: np.ndarray,
               palette: list[int] | None) -> None:
        """Write a mask under the name of its annotation."""
        if self.out_dir is None:
            return
        folder = os.path.join(self.out_dir, video)
        os.makedirs(folder, exist_ok=True)
        image = Image.fromarray(labels)
        if palette:
            image.putpalette(palette)
        image.save(os.path.join(folder, Path(path).name))
