"""What a visitor of the explorer has chosen, and the pictures of it."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from explored_network import ExploredNetwork, Sight, magnified
from PIL import Image, UnidentifiedImageError

from ibot_mm.datasets.transforms import (
    ImageDecodeError,
    LoadImage,
    decode_image,
)
from ibot_mm.visualization.attention import heat_map, overlay
from ibot_mm.visualization.pattern_layouts import (
    members_in_words,
    prototype_layout,
    rank_prototypes,
)
from ibot_mm.visualization.pca import color_patches, fit_colors
from ibot_mm.visualization.similarity import (
    cosine_map,
    framed,
    nearest_images,
    patch_at,
    similarity_picture,
)

NEAREST = 6  # images of the folder beside a patch
Captioned = tuple[np.ndarray, str]


def short(name: str) -> str:
    """Name and folder of a file."""
    return '/'.join(Path(name).parts[-2:])


@dataclass(frozen=True)
class Session:
    """What a visitor has chosen.

    Attributes:
        images: The first image and perhaps a second, uint8 BGR.
        names: Theirs.
        sights: By network, then by image.
        point: Height and position from the left that were clicked in the
            first image, as shares of it.
    """

    images: tuple[np.ndarray, ...] = ()
    names: tuple[str, ...] = ()
    sights: tuple[tuple[Sight, ...], ...] = ()
    point: tuple[float, float] = (0.5, 0.5)


class Similar(NamedTuple):
    """Where features are like those of the patch that was clicked.

    Attributes:
        clicked: The first image, the patch in a frame.
        maps: A picture per image.
        nearest: Images of the folder with the most similar patches, beside
            their maps, the patch in a frame.
        words: What the colors mean.
    """

    clicked: np.ndarray
    maps: list[np.ndarray]
    nearest: list[Captioned]
    words: str


@dataclass
class Explorer:
    """The pictures of one network, or of several side by side.

    Attributes:
        networks: With features of the same folder.
        max_size: Longer side in pixels to which images are reduced at once.
    """

    networks: Sequence[ExploredNetwork]
    max_size: int
    names: list[str] = field(init=False)

    def __post_init__(self) -> None:
        self.names = self.networks[0].folder.names

    def search(self, text: str, count: int) -> list[int]:
        """Numbers of the first images whose path contains a text."""
        found = (i for i, name in enumerate(self.names)
                 if text.lower() in name.lower())
        return [i for i, _ in zip(found, range(count))]

    def choose(self, session: Session, slot: int, number: int, size: int
               ) -> Session:
        """Take an image of the folder.

        Args:
            session: Choices so far.
            slot: 0 for the first image, 1 for the second.
            number: Of the image.
            size: Longer side in pixels at which networks see it.

        Raises:
            ImageDecodeError: The file cannot be read any more.
        """
        path = self.names[number]
        image = LoadImage().transform(dict(img_path=path))['img']
        return self._choose(session, slot, image, path, size)

    def upload(self, session: Session, slot: int, file: Path, size: int
               ) -> Session:
        """Take an uploaded image; the file is removed.

        Args:
            session: Choices so far.
            slot: 0 for the first image, 1 for the second.
            file: The upload.
            size: Longer side in pixels at which networks see it.

        Raises:
            ImageDecodeError: It is no image that can be read.
        """
        try:
            with suppress(UnidentifiedImageError), Image.open(file):
                pass  # the header: refuses more than 179 million pixels
            image = decode_image(file.read_bytes())
        except (ImageDecodeError, Image.DecompressionBombError) as error:
            raise ImageDecodeError(f'"{file.name}" {error}.') from error
        finally:
            file.unlink()
        return self._choose(session, slot, image, file.name, size)

    def _choose(self, session: Session, slot: int, image: np.ndarray,
                name: str, size: int) -> Session:
        scale = self.max_size / max(image.shape[:2])
        if scale < 1:
            sides = [max(round(side * scale), 1) for side in image.shape[:2]]
            image = cv2.resize(image, sides[::-1],
                               interpolation=cv2.INTER_AREA)
        changed = dict(images=(*session.images[:slot], image,
                               *session.images[slot + 1:]),
                       names=(*session.names[:slot], name,
                              *session.names[slot + 1:]))
        return self.resize(replace(session, **changed), size)

    def resize(self, session: Session, size: int) -> Session:
        """Look at the images at another size in pixels."""
        size = min(size, self.max_size)
        return replace(session, sights=tuple(
            tuple(network.look(image, size) for image in session.images)
            for network in self.networks))

    def click(self, session: Session, network: int, x: int, y: int
              ) -> Session:
        """Take the patch at a pixel of the picture of a network."""
        height, width = session.sights[network][0].image.shape[:2]
        return replace(session, point=(y / height, x / width))

    def attention(self, session: Session, network: int, mass: float
                  ) -> list[Captioned]:
        """Image, overlay of all heads, mean and each head.

        Args:
            session: The choices.
            network: Number of the network, which has a CLS token.
            mass: Share of a head's attention that the overlay shows.
        """
        sight = session.sights[network][0]
        size = sight.image.shape[:2]
        maps = {'mean over heads': sight.attention.mean(0)}
        for head, grid in enumerate(sight.attention, 1):
            maps[f'head {head}'] = grid
        return [(sight.image, 'image'),
                (overlay(sight.image, sight.attention, mass), 'all heads'),
                *((heat_map(grid.numpy(), size), caption)
                  for caption, grid in maps.items())]

    def similar(self, session: Session, network: int) -> Similar:
        """Where features are like those of the patch that was clicked."""
        sights, folder = session.sights[network], self.networks[network].folder
        grid = sights[0].tokens.shape[:2]
        patch = patch_at(session.point, grid)
        query = sights[0].tokens[patch]
        maps = [cosine_map(sight.tokens, query) for sight in sights]
        low = float(min(similarity.min() for similarity in maps))
        pictures = [similarity_picture(sight.image, similarity, low)
                    for sight, similarity in zip(sights, maps)]
        nearest = []
        for i, found in nearest_images(folder.patches, query, NEAREST + 1):
            if folder.names[i] == session.names[0]:
                continue  # the image that was clicked
            best = divmod(int(found.argmax()), found.shape[1])
            image = magnified(folder.picture(i), 300)
            pair = np.hstack([
                framed(picture, best, found.shape) for picture in
                (image, similarity_picture(image, found, low))])
            nearest.append((pair, f'{found.max():.3f} '
                            f'{short(folder.names[i])}'))
        words = (f'Patch in row {patch[0] + 1} of {grid[0]}, column '
                 f'{patch[1] + 1} of {grid[1]}. Colors go from a cosine of '
                 f'{low:.2f} (dark) to 1 (bright) in all pictures.')
        return Similar(
            framed(sights[0].image, patch, grid),
            [framed(pictures[0], patch, grid), *pictures[1:]],
            nearest[:NEAREST], words)

    def components(self, session: Session, network: int, background: bool
                   ) -> list[Captioned]:
        """Each image, and the components of its patches.

        Args:
            session: The choices; the images share one basis.
            network: Number of the network.
            background: Whether the background has colors.
        """
        sights = session.sights[network]
        basis = fit_colors([sight.tokens for sight in sights], not background)
        pictures = []
        for sight, name in zip(sights, session.names):
            colors = color_patches(sight.tokens, basis, sight.image.shape[:2],
                                   background)
            pictures += [(sight.image, short(name)), (colors, 'components')]
        return pictures

    def pattern(self, network: int, tokens: str, rank: int, centered: bool,
                count: int = 36) -> Captioned:
        """The images that fit a prototype best.

        Args:
            network: Number of the network, which has a projection head.
            tokens: 'patch' or 'cls'.
            rank: Of the prototype by number of tokens, from 1; the last one
                if there are fewer.
            centered: Whether to subtract the centers of the training, if the
                checkpoint has them.
            count: Largest number of images.
        """
        explored = self.networks[network]
        found = explored.assigned(centered and explored.centers is not None)
        prototypes = found[f'{tokens}_prototypes']
        ranked = rank_prototypes(prototypes)
        rank = min(max(rank, 1), len(ranked))
        prototype = ranked[rank - 1][0]
        labels = [Path(name).parent.name for name in self.names]
        picture = prototype_layout(
            explored.folder.picture, found[f'{tokens}_logits'], prototypes,
            prototype, count)
        return picture, (f'rank {rank} of {len(ranked)}, '
                         + members_in_words(prototypes, prototype, labels))
