"""Segmentation by the nearest patches of labeled images."""

import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from mmengine.dist import all_reduce
from mmengine.logging import print_log
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from ibot_mm.datasets.evaluation_dataset import BadFile
from ibot_mm.datasets.image_lists import evenly_spaced
from ibot_mm.datasets.transforms import ImageDecodeError, LoadImage
from ibot_mm.datasets.transforms.multi_crop import resize
from ibot_mm.registry import EVALUATORS

from .features import gather_rows, joined, rank_loader
from .frozen_teacher import FrozenTeacher
from .knn import nearest


class LabelMapDataset(Dataset):
    """Images and label maps in the layout of ADE20K.

    Args:
        data_root: Folder that holds ``images`` and ``annotations``.
        split: Folder in both of them. 0 and 255 in a label map are ignored, 1
            is the first class.
        num_classes: Number of classes.
        size: Side in pixels to which images are resized.
        num_images: Number of images, at equal distances in the sorted list.
    """

    def __init__(self, data_root: str, split: str, num_classes: int,
                 size: int, num_images: int) -> None:
        self.maps = Path(data_root, 'annotations', split)
        folder = Path(data_root, 'images', split)
        paths = sorted(folder.glob('*.jpg'))
        if not paths or not self.maps.is_dir():
            raise FileNotFoundError(
                f'KNNSegmentation needs JPEG images in "{folder}" and label '
                f'maps in "{self.maps}"; change data_root.')
        self.paths = [paths[i] for i in evenly_spaced(len(paths), num_images)]
        self.num_classes = num_classes
        self.size = size

    def __len__(self) -> int:
        """Number of images."""
        return len(self.paths)

    def __getitem__(self, index: int
                    ) -> tuple[int, Tensor, Tensor] | BadFile:
        """Index, image (3, size, size) and labels (H, W), -1 if ignored."""
        path = self.maps / f'{self.paths[index].stem}.png'
        try:
            image = LoadImage()(dict(img_path=str(self.paths[index])))['img']
            with Image.open(path) as file:
                labels = np.asarray(file).astype(np.int64)
        except ImageDecodeError as error:
            return BadFile(str(self.paths[index]), error.reason)
        except (OSError, SyntaxError) as error:  # what Pillow raises
            return BadFile(str(path), f'cannot be read ({error})')
        labels = np.where(labels == 255, -1, labels - 1)
        if labels.max() >= self.num_classes:
            raise ValueError(
                f'"{path}" has the label {labels.max() + 1}, but num_classes '
                f'of KNNSegmentation is {self.num_classes}.')
        pixels = np.float32(resize(image, (self.size, self.size)))
        return (index, torch.from_numpy(pixels).permute(2, 0, 1),
                torch.from_numpy(labels))


def patch_labels(labels: Tensor, num_classes: int, grid: int) -> Tensor:
    """Shares of the classes in each patch.

    Args:
        labels: int64 (H, W), -1 if ignored.
        num_classes: Number of classes K.
        grid: Number of patches per side.

    Returns:
        (grid * grid, K); rows add up to 1, or less if pixels are ignored.
    """
    # 16 samples along the side of a patch tell its shares well enough.
    sampled = F.interpolate(labels[None, None].float(), (16 * grid, ) * 2,
                            mode='nearest-exact')[0, 0].long()
    one_hot = F.one_hot(sampled + 1, num_classes + 1)[..., 1:].float()
    return F.avg_pool2d(one_hot.permute(2, 0, 1), 16).flatten(1).T


@EVALUATORS.register_module()
class KNNSegmentation:
    """Mean IoU of labels that patches get from their nearest patches.

    Images are squeezed to squares. The bank holds patch tokens of training
    images with the shares of the classes in each patch. A patch of a
    validation image gets the mean of the shares of its k most similar
    patches, weighted by exp(similarity / temperature). These votes are
    interpolated bilinearly to the size of the label map. This follows the
    idea of arXiv 2306.01667, not its protocol: no crops, no layers are
    combined, and the bank is small.

    Images that cannot be read, or whose label map cannot, are left out; the
    log names them once.

    Args:
        data_root: Folder of the data, in the layout of ADE20K.
        num_classes: Number of classes.
        size: Side of the images in pixels.
        num_train: Number of training images.
        num_val: Number of validation images.
        bank_size: Number of patches in the bank; each image gives as many.
        k: Number of neighbors.
        temperature: Temperature of the weights.
        seed: Seed of the patches in the bank.

    Raises:
        FileNotFoundError: There are no images, or no folder of label maps.
        ValueError: A label is above ``num_classes``, or no image of a split
            can be read and has labels.
    """

    def __init__(self,
                 data_root: str,
                 num_classes: int,
                 size: int = 224,
                 num_train: int = 1000,
                 num_val: int = 500,
                 bank_size: int = 100_000,
                 k: int = 20,
                 temperature: float = 0.07,
                 seed: int = 0) -> None:
        self.train, self.val = (
            LabelMapDataset(data_root, split, num_classes, size, count)
            for split, count in (('training', num_train),
                                 ('validation', num_val)))
        self.num_classes = num_classes
        self.bank_size = bank_size
        self.k = k
        self.temperature = temperature
        self.seed = seed
        self._known_bad: set[str] = set()

    @torch.no_grad()
    def __call__(self, teacher: FrozenTeacher) -> dict[str, float]:
        """Returns ``quality/knn_mIoU`` in percent, over the classes found."""
        bank, shares = (rows.to(teacher.device)
                        for rows in self._bank(teacher))
        # Rows are the true classes, columns the predicted ones.
        confusion = torch.zeros(self.num_classes**2, dtype=torch.int64)
        for _, tokens, labels in self._tokens(teacher, self.val):
            similarity, index = nearest(tokens, bank, min(self.k, len(bank)),
                                        65536)
            weights = (similarity / self.temperature).softmax(1)
            votes = torch.einsum('nk,nkc->cn', weights, shares[index])
            grid = round(len(tokens)**0.5)
            predicted = F.interpolate(
                votes.unflatten(1, (grid, grid))[None], labels.shape,
                mode='bilinear')[0].argmax(0).cpu()
            known = labels >= 0
            confusion += torch.bincount(
                labels[known] * self.num_classes + predicted[known],
                minlength=len(confusion))
        all_reduce(confusion)
        confusion = confusion.view(self.num_classes, -1).double()
        hits = confusion.diagonal()
        union = confusion.sum(0) + confusion.sum(1) - hits
        found = union > 0
        if not found.any():
            raise ValueError('KNNSegmentation: no image in '
                             f'"{self.val.maps}" can be read and has labels.')
        return {'quality/knn_mIoU':
                float(100 * (hits[found] / union[found]).mean())}

    def _bank(self, teacher: FrozenTeacher) -> tuple[Tensor, Tensor]:
        """Patches (N, C) and their shares of classes (N, K), on the CPU."""
        per_image = max(self.bank_size // len(self.train), 1)
        patches, shares = [], []
        for index, tokens, labels in self._tokens(teacher, self.train):
            share = patch_labels(labels, self.num_classes,
                                 round(len(tokens)**0.5))
            labeled = share.sum(1).nonzero().flatten()
            rng = torch.Generator().manual_seed(10**6 * self.seed + index)
            chosen = labeled[torch.randperm(
                len(labeled), generator=rng)[:per_image]]
            patches.append(tokens.cpu()[chosen])
            shares.append(share[chosen])
        bank = gather_rows(joined(patches)), gather_rows(joined(shares))
        if not len(bank[0]):
            raise ValueError('KNNSegmentation: no image in '
                             f'"{self.train.maps}" can be read and has '
                             'labels.')
        return bank

    def _tokens(self, teacher: FrozenTeacher, dataset: LabelMapDataset
                ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """This rank's images: index, unit-length patches and label map."""
        for batch in rank_loader(dataset, teacher.batch_size,
                                 teacher.num_workers):
            good = [item for item in batch if not isinstance(item, BadFile)]
            bad = [item for item in batch if isinstance(item, BadFile)]
            for path, reason in bad:
                if path not in self._known_bad:
                    self._known_bad.add(path)
                    print_log(f'Bad file: {path} {reason}; KNNSegmentation '
                              'leaves it out.', 'current', logging.ERROR)
            if not good:
                continue
            index, images, labels = zip(*good)
            inputs = teacher.preprocessor(
                dict(inputs=torch.stack(images)), False)['inputs']
            _, tokens = teacher.backbone.extract_tokens(inputs)
            yield from zip(index, F.normalize(tokens.float(), dim=-1), labels)
