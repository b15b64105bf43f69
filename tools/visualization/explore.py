"""Explore in a web page what a network has learned.

    python tools/visualization/explore.py CHECKPOINT --images photos/
    python tools/visualization/explore.py CHECKPOINT --images photos/ \
        --compare OTHER_CHECKPOINT

Choose an image of the folder or upload one. The page shows the attention of
each head, where features are like those of a patch that is clicked (in the
image, in a second one and in the nearest images of the folder), the principal
components of the patches, and the images that fit each prototype. --compare
shows two networks side by side. The page is served on this machine only,
unless --host says otherwise; it needs no network. Needs Gradio:
pip install "gradio>=6"
"""

import argparse
import os
import signal
import socket
import tempfile

from explored_network import ExploredNetwork
from explorer_session import Explorer
from packaging.version import Version
from picture_inputs import add_network_arguments, chosen_paths

from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.dependencies import installed_version


def check_gradio(version: str | None) -> None:
    """Raise an ImportError if Gradio is too old, or missing (None)."""
    if version is None or Version(version) < Version('6'):
        raise ImportError(
            'the explorer needs Gradio 6 or later, but '
            f'{version or "none"} is installed: pip install "gradio>=6"')


def check_port(host: str, port: int) -> None:
    """Look whether a server can start, before all the work; 0 is any port.

    Raises:
        ValueError: It cannot.
    """
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        place = f'port {port} of {host}' if port else host
        raise ValueError(f'the page cannot be served on {place} '
                         f'({error.strerror}): choose others with --host and '
                         '--port.') from error


def serve(args: argparse.Namespace, explorer: Explorer, title: str) -> None:
    """Serve the page until Ctrl+C."""
    # A kill and a closed terminal, too, leave no files; nohup goes on.
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix='explorer_') as folder:
        # What Gradio writes is gone at the end.
        os.environ.update(GRADIO_TEMP_DIR=folder,
                          GRADIO_ANALYTICS_ENABLED='False')
        import gradio as gr
        from explorer_page import CSS, SecurityPolicy, build_page
        from starlette.middleware import Middleware

        page = build_page(explorer, min(args.size, args.max_size), title)
        page.launch(
            server_name=args.host, server_port=args.port, share=False,
            ssr_mode=False, quiet=True, show_error=True, css=CSS,
            footer_links=[], max_file_size=args.max_upload * 2**20,
            theme=gr.themes.Default(font=['system-ui', 'sans-serif'],
                                    font_mono=['monospace']),
            app_kwargs=dict(middleware=[Middleware(SecurityPolicy)]),
            prevent_thread_lock=True)
        print(f'open {page.local_url} in a browser; Ctrl+C ends the server',
              flush=True)
        page.block_thread()


@report_errors
def main() -> None:
    """Read the command line and the folder, then serve the page."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='of any kind '
                        '(docs/checkpoints.md)')
    parser.add_argument('--images', nargs='+', required=True, help='images, '
                        'folders, or text files with a path per line')
    parser.add_argument('--compare', metavar='CHECKPOINT', help='a second '
                        'network beside')
    add_network_arguments(parser, 480, 1000, 'longer side in pixels of the '
                          'chosen image, at first')
    parser.add_argument('--max-size', type=int, default=1024, help='largest '
                        '--size that the page offers; larger images are '
                        'reduced to it at once (default: 1024)')
    parser.add_argument('--grid', type=int, default=14, help='patches per '
                        'side at which the features of the folder are '
                        'computed, of the center square of each image '
                        '(default: 14)')
    parser.add_argument('--workers', type=int, default=4, help='processes '
                        'that read images (default: 4)')
    parser.add_argument('--host', default='127.0.0.1', help='address to '
                        'serve on; 0.0.0.0 lets other machines in, without a '
                        'password (default: 127.0.0.1)')
    parser.add_argument('--port', type=int, help='default: the first free '
                        'one from 7860')
    parser.add_argument('--max-upload', type=int, default=50, help='largest '
                        'upload in MiB (default: 50)')
    args = parser.parse_args()
    check_gradio(installed_version('gradio'))
    check_port(args.host, args.port or 0)
    paths = chosen_paths(args)
    networks = [ExploredNetwork(args, checkpoint)
                for checkpoint in (args.checkpoint, args.compare)
                if checkpoint]
    for network in networks:
        network.read_folder(paths, args.grid, args.workers)
    serve(args, Explorer(networks, args.max_size),
          f'{len(networks[0].folder.names)} images, `{args.network}` of ' +
          ' and of '.join(f'`{network.name}`' for network in networks))


if __name__ == '__main__':
    main()
