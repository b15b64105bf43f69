"""The explorer's page, made with Gradio."""

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Any

import gradio as gr
from explorer_panel import NetworkPanel, gallery
from explorer_session import Captioned, Explorer, Session, short

THUMBNAILS = 24
# Nothing is fetched from other machines, whatever Gradio's page asks for.
POLICY = ("default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; "
          "frame-ancestors 'none'")
CSS = """
.grid-wrap {max-height: none !important}
.thumbnails .grid-wrap {max-height: 420px !important}
.pairs .thumbnail-lg {aspect-ratio: 2 / 1 !important}
"""
SLOTS = ('image', 'second image')
TOKENS = {'patches': 'patch', 'whole images (CLS tokens)': 'cls'}


class SecurityPolicy:
    """ASGI middleware that adds ``POLICY`` to every response."""

    def __init__(self, app: Callable) -> None:
        self.app = app

    async def __call__(self, scope: dict, receive: Callable, send: Callable
                       ) -> None:
        """Answer a request."""

        async def send_with_policy(message: dict) -> None:
            if message['type'] == 'http.response.start':
                message['headers'] = [
                    *message.get('headers', ()),
                    (b'content-security-policy', POLICY.encode())]
            await send(message)

        await self.app(scope, receive, send_with_policy)


def _in_a_sentence(function: Callable) -> Callable:
    """Show what a user can fix, and leave the pictures as they are."""

    @wraps(function)
    def run(*args: Any) -> Any:
        try:
            return function(*args)
        except (ValueError, OSError) as error:
            gr.Warning(str(error), title='Not shown')
            return gr.skip()

    return run


def _of_images(function: Callable) -> Callable:
    """Draw nothing while no image is chosen; else :func:`_in_a_sentence`."""

    @_in_a_sentence
    @wraps(function)
    def run(session: Session, *args: Any) -> Any:
        return function(session, *args) if session.images else gr.skip()

    return run


def build_page(explorer: Explorer, size: int, title: str) -> gr.Blocks:
    """Make the page.

    Args:
        explorer: What it shows.
        size: Longer side in pixels of the images, at first.
        title: Below the heading.
    """
    shown = [NetworkPanel(explorer, i) for i in range(len(explorer.networks))]

    def thumbnails(text: str) -> tuple[list[Captioned], list[int]]:
        folder = explorer.networks[0].folder
        numbers = explorer.search(text, THUMBNAILS)
        return gallery([(folder.picture(i), Path(folder.names[i]).name)
                        for i in numbers]), numbers

    with gr.Blocks(title='Explorer', analytics_enabled=False,
                   delete_cache=(600, 3600), fill_width=True) as page:
        session = gr.State(Session())
        listed = gr.State([])  # numbers of the images in the thumbnails
        gr.Markdown(f'## What did it learn?\n{title}')
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                slot = gr.Radio(SLOTS, value=SLOTS[0], type='index',
                                label='Choose the')
                text = gr.Textbox(label='Search by name', max_lines=1,
                                  elem_id='search')
                small = gr.Gallery(
                    label=f'Click one of the first {THUMBNAILS} that match',
                    columns=2, allow_preview=False, object_fit='cover',
                    elem_classes='thumbnails', elem_id='thumbnails')
                upload = gr.UploadButton('Upload an image', elem_id='upload',
                                         file_types=['image'])
                chosen = gr.Markdown(elem_id='chosen')
                pixels = gr.Slider(
                    32, explorer.max_size, value=size, step=1,
                    label='Longer side in pixels')
            with gr.Column(scale=4):
                with gr.Tab('Attention'):
                    mass = gr.Slider(
                        0.05, 1, value=0.6, step=0.05,
                        label="Share of each head's attention shown for all "
                        'heads')
                    _side_by_side([one.attention_tab for one in shown])
                with gr.Tab('Similar patches'):
                    _side_by_side([one.similar_tab for one in shown])
                with gr.Tab('Components'):
                    background = gr.Checkbox(label='Color the background')
                    _side_by_side([one.components_tab for one in shown])
                with gr.Tab('Patterns') as patterns:
                    with gr.Row():
                        tokens = gr.Radio(list(TOKENS), value='patches',
                                          label='Prototypes of')
                        rank = gr.Number(1, precision=0, minimum=1,
                                         label='Rank by number of tokens')
                        centered = gr.Checkbox(
                            True, label='Subtract the centers of the '
                            'training, if the checkpoint has them')
                    _side_by_side([one.patterns_tab for one in shown])

        similar_outputs = [part for one in shown
                           for part in one.similar_outputs()]
        attention = [one.attention for one in shown]
        components = [one.components for one in shown]
        pattern = [part for one in shown
                   for part in (one.pattern, one.pattern_words)]
        everything = [session, chosen, *attention, *similar_outputs,
                      *components]

        def draw_similar(session: Session) -> list:
            return [part for one in shown
                    for part in one.draw_similar(session)]

        @_of_images
        def draw_attention(session: Session, mass: float) -> list:
            return _one_or_all([one.draw_attention(session, mass)
                                for one in shown])

        @_of_images
        def draw_components(session: Session, background: bool) -> list:
            return _one_or_all([one.draw_components(session, background)
                                for one in shown])

        def draw_all(session: Session, mass: float, background: bool) -> list:
            names = '  \n'.join(
                f'{kind}: {short(name)}'
                for kind, name in zip(SLOTS, session.names))
            return [session, names,
                    *(one.draw_attention(session, mass) for one in shown),
                    *draw_similar(session),
                    *(one.draw_components(session, background)
                      for one in shown)]

        @_in_a_sentence
        def start(size: int, *settings: Any) -> list:
            return draw_all(explorer.choose(Session(), 0, 0, size), *settings)

        @_in_a_sentence
        def choose(session: Session, slot: int, numbers: list[int], size: int,
                   mass, background, event: gr.SelectData) -> list:
            return draw_all(explorer.choose(
                session, slot, numbers[event.index], size), mass, background)

        @_in_a_sentence
        def take_upload(session: Session, slot: int, file: str, size: int,
                        *settings: Any) -> list:
            return draw_all(explorer.upload(session, slot, Path(file), size),
                            *settings)

        @_of_images
        def resize(session: Session, size: int, *settings: Any) -> list:
            return draw_all(explorer.resize(session, size), *settings)

        def draw_patterns(tokens: str, rank: int, centered: bool,
                          progress=gr.Progress(track_tqdm=True)) -> list:
            return [part for one in shown for part in one.draw_pattern(
                TOKENS[tokens], rank or 1, centered)]

        settings = [pixels, mass, background]
        page.load(thumbnails, text, [small, listed])
        page.load(start, settings, everything)
        text.change(thumbnails, text, [small, listed], show_progress='hidden')
        small.select(choose, [session, slot, listed, *settings], everything)
        upload.upload(take_upload, [session, slot, upload, *settings],
                      everything)
        pixels.release(resize, [session, *settings], everything)
        mass.release(draw_attention, [session, mass], attention)
        background.change(draw_components, [session, background], components)
        choice = [tokens, rank, centered]
        gr.on([patterns.select, *(part.change for part in choice)],
              draw_patterns, choice, pattern)
        for one in shown:
            @_of_images
            def click(session: Session, event: gr.SelectData,
                      number: int = one.number) -> list:
                session = explorer.click(session, number, *event.index)
                return [session, *draw_similar(session)]

            one.clicked.select(click, session, [session, *similar_outputs],
                               show_progress='hidden')
    return page


def _one_or_all(values: list) -> Any:
    """As Gradio expects it of a function with one output, or several."""
    return values[0] if len(values) == 1 else values


def _side_by_side(tabs: list[Callable[[], None]]) -> None:
    with gr.Row():
        for tab in tabs:
            with gr.Column():
                tab()
