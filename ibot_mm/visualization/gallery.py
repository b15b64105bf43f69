"""Pictures in a folder, with a page that shows them."""

import html
from pathlib import Path

import cv2
import numpy as np


class Gallery:
    """Writes pictures, and ``index.html`` with all of them.

    Args:
        folder: Where they go; it is made.
        title: Heading of the page.
    """

    def __init__(self, folder: str | Path, title: str) -> None:
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.title = title
        self._entries: list[tuple[str, str]] = []

    def add(self, name: str, picture: np.ndarray, caption: str) -> Path:
        """Write a picture.

        Args:
            name: Of the file, without extension; made unique.
            picture: (H, W, 3), uint8 BGR.
            caption: Text below it.

        Raises:
            OSError: The file cannot be written.
        """
        names = {entry for entry, _ in self._entries}
        file, number = f'{name}.png', 2
        while file in names:
            file, number = f'{name}_{number}.png', number + 1
        path = self.folder / file
        done, data = cv2.imencode('.png', picture)
        assert done
        path.write_bytes(data.tobytes())
        self._entries.append((file, caption))
        return path

    def write(self) -> Path:
        """Write the page; returns its path."""
        figures = '\n'.join(
            f'<figure><img src="{html.escape(file)}" loading="lazy">'
            f'<figcaption>{html.escape(caption)}</figcaption></figure>'
            for file, caption in self._entries)
        title = html.escape(self.title)
        path = self.folder / 'index.html'
        path.write_text(
            f'<!doctype html><meta charset="utf-8"><title>{title}</title>\n'
            '<style>body{font-family:sans-serif;margin:1em}'
            'img{max-width:100%}figure{margin:1em 0}</style>\n'
            f'<h1>{title}</h1>\n{figures}\n', encoding='utf-8')
        return path
