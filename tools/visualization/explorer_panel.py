"""What the explorer's page has of each network."""

from typing import Any

import gradio as gr
import numpy as np
from explorer_session import Captioned, Explorer, Session


def rgb(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W, 3), BGR, as Gradio takes it."""
    return np.ascontiguousarray(picture[..., ::-1])


def gallery(pictures: list[Captioned]) -> list[Captioned]:
    """Pictures with captions, BGR, as Gradio takes them."""
    return [(rgb(picture), caption) for picture, caption in pictures]


class NetworkPanel:
    """The components of the page that show one network.

    Args:
        explorer: What the page shows.
        number: Of the network.
    """

    def __init__(self, explorer: Explorer, number: int) -> None:
        self.explorer, self.number = explorer, number
        self.network = explorer.networks[number]

    def heading(self) -> None:
        """Name the network, if there are several."""
        if len(self.explorer.networks) > 1:
            gr.Markdown(f'### {self.network.name}')

    def attention_tab(self) -> None:
        """Lay out the tab of the attention."""
        self.heading()
        if self.network.no_attention:
            gr.Markdown(self.network.no_attention)
        self.attention = gr.Gallery(
            label='Attention of the CLS token', columns=3, format='png',
            object_fit='contain', height='auto', preview=False,
            visible=not self.network.no_attention,
            elem_id=f'attention-{self.number}')

    def similar_tab(self) -> None:
        """Lay out the tab of similar patches."""
        self.heading()
        with gr.Row():
            self.clicked = gr.Image(
                label='Click a patch', format='png', interactive=False,
                buttons=[], elem_id=f'clicked-{self.number}')
            self.map = gr.Image(
                label='Similarity', format='png', interactive=False,
                buttons=[], elem_id=f'map-{self.number}')
            self.second = gr.Image(
                label='Second image', format='png', interactive=False,
                buttons=[], visible=False, elem_id=f'second-{self.number}')
        self.words = gr.Markdown(elem_id=f'words-{self.number}')
        self.nearest = gr.Gallery(
            label='Nearest images of the folder, and their best patch',
            columns=3, elem_classes='pairs', format='png',
            object_fit='contain', height='auto', preview=False,
            elem_id=f'nearest-{self.number}')

    def components_tab(self) -> None:
        """Lay out the tab of the components."""
        self.heading()
        self.components = gr.Gallery(
            label='Principal components of the patches', columns=2,
            format='png', object_fit='contain', height='auto', preview=False,
            elem_id=f'components-{self.number}')

    def patterns_tab(self) -> None:
        """Lay out the tab of the prototypes."""
        self.heading()
        if self.network.no_patterns:
            gr.Markdown(self.network.no_patterns)
        shown = not self.network.no_patterns
        self.pattern = gr.Image(
            label='Images that fit the prototype best', format='png',
            interactive=False, buttons=[], visible=shown,
            elem_id=f'pattern-{self.number}')
        self.pattern_words = gr.Markdown(visible=shown)

    def similar_outputs(self) -> list:
        """What :meth:`draw_similar` fills."""
        return [self.clicked, self.map, self.second, self.words, self.nearest]

    def draw_similar(self, session: Session) -> list:
        """Values of :meth:`similar_outputs`."""
        found = self.explorer.similar(session, self.number)
        second = gr.Image(visible=False) if len(found.maps) == 1 else (
            gr.Image(rgb(found.maps[1]), visible=True))
        return [rgb(found.clicked), rgb(found.maps[0]), second, found.words,
                gallery(found.nearest)]

    def draw_attention(self, session: Session, mass: float) -> list | None:
        """Pictures of the heads; None without a CLS token."""
        return None if self.network.no_attention else gallery(
            self.explorer.attention(session, self.number, mass))

    def draw_components(self, session: Session, background: bool) -> list:
        """Pictures of the components."""
        return gallery(self.explorer.components(session, self.number,
                                                 background))

    def draw_pattern(self, *choice: Any) -> list:
        """Picture of a prototype, and words about it."""
        if self.network.no_patterns:
            return [None, '']
        picture, words = self.explorer.pattern(self.number, *choice)
        return [rgb(picture), words]
