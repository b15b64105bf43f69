"""Images without labels, in a fixed order, for feature extraction."""

from collections.abc import Callable, Sequence
from pathlib import Path

from torch import Tensor
from torch.utils.data import Dataset, default_collate

from ibot_mm.datasets.transforms.decode import ImageDecodeError

from .evaluation_dataset import BadFile
from .image_lists import list_images, read_names
from .pretrain import image_extensions


def find_images(source: str | Path) -> tuple[Path, list[str]]:
    """The images in a folder, or those that a list file names.

    Args:
        source: Folder, which is searched recursively, or text file with a
            path per line, relative to its folder or absolute.

    Returns:
        The folder, and the names of the images relative to it: sorted, or in
        the order of the list.

    Raises:
        FileNotFoundError: There is no such folder or file.
        ValueError: There are no images, or the file is an image.
    """
    source = Path(source).expanduser()
    extensions = image_extensions()
    if source.is_dir():
        folder, names = source, sorted(list_images(str(source), extensions))
    elif source.suffix.lower() in extensions:
        raise ValueError(f'"{source}" is an image: name its folder, or a text '
                         'file with a path per line.')
    elif source.is_file():
        folder, names = source.parent, read_names(str(source))
    else:
        raise FileNotFoundError(
            f'there is no folder and no list file "{source}".')
    if not names:
        raise ValueError(f'"{source}" has no images.')
    return folder, names


class ImagePaths(Dataset):
    """Prepared images; an unreadable one is a :class:`BadFile`.

    Args:
        folder: Folder of the images.
        names: Their names, relative to it.
        load: Maps a path to a tensor (C, H, W).
    """

    def __init__(self, folder: Path, names: Sequence[str],
                 load: Callable[[Path], Tensor]) -> None:
        self.folder = folder
        self.names = names
        self.load = load

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[str, Tensor] | BadFile:
        """Name and image, or the file that could not be read."""
        name = self.names[index]
        try:
            return name, self.load(self.folder / name)
        except ImageDecodeError as error:
            return BadFile(name, error.reason)


def collate_images(samples: Sequence[tuple[str, Tensor] | BadFile]
                   ) -> tuple[list[str], Tensor | None, list[BadFile]]:
    """Names, images (B, C, H, W) or None without any, and bad files."""
    bad = [sample for sample in samples if isinstance(sample, BadFile)]
    good = [sample for sample in samples if not isinstance(sample, BadFile)]
    names = [name for name, _ in good]
    images = default_collate([image for _, image in good]) if good else None
    return names, images, bad
