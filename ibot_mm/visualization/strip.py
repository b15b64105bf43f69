"""A picture that grows by a row with every validation of a training."""

import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, PngImagePlugin

from ibot_mm.checkpoints.atomic_write import atomic_write

SIDE = 96  # height of a row in pixels
_ITERATIONS = 'iterations'  # key of the text in the file


def label(text: str) -> np.ndarray:
    """The text at the left of a row, (SIDE, SIDE, 3), uint8."""
    picture = np.full((SIDE, SIDE, 3), 255, np.uint8)
    return cv2.putText(picture, text, (4, SIDE // 2), cv2.FONT_HERSHEY_SIMPLEX,
                       0.45, (0, 0, 0), 1, cv2.LINE_AA)


class Strip:
    """A PNG file of rows, which knows the iteration of each.

    Rows of an earlier part of the run are kept. Those after the iteration
    from which it continues are drawn again.

    Args:
        path: The file; read if there is one.
        iteration: From which the run continues; 0 for a new run, without
            rows.

    Raises:
        OSError: The file cannot be read.

    Attributes:
        rows: (SIDE, W, 3), uint8 BGR, by iteration.
    """

    def __init__(self, path: str | Path, iteration: int) -> None:
        self.path = Path(path)
        self.rows: dict[int, np.ndarray] = {}
        if iteration and self.path.is_file():
            with Image.open(self.path) as file:
                picture = np.asarray(file)[..., ::-1]
                known = json.loads(file.text[_ITERATIONS])
            for i, number in enumerate(known, 1):  # after the header
                if number <= iteration:
                    self.rows[number] = picture[i * SIDE:(i + 1) * SIDE]

    def last(self, width: int) -> np.ndarray | None:
        """The last row, if there is one.

        Args:
            width: Of the row to come.

        Raises:
            ValueError: The rows have another width.
        """
        if not self.rows:
            return None
        row = self.rows[max(self.rows)]
        if row.shape[1] != width:
            raise ValueError(f'the rows of "{self.path}" are '
                             f'{row.shape[1]} pixels wide, not {width}: '
                             'rename it to start a new one')
        return row

    def add(self, iteration: int, row: np.ndarray,
            header: np.ndarray) -> None:
        """Add a row and write the file.

        Args:
            iteration: Of the row.
            row: (SIDE, W, 3), uint8 BGR.
            header: What stands above the first row, of the same shape.

        Raises:
            OSError: The file cannot be written.
        """
        self.rows[iteration] = row
        text = PngImagePlugin.PngInfo()
        text.add_text(_ITERATIONS, json.dumps(list(self.rows)))
        picture = np.vstack([header, *self.rows.values()])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as part:
            Image.fromarray(picture[..., ::-1]).save(part, 'PNG',
                                                     pnginfo=text)
