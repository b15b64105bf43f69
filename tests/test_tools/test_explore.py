"""The explorer: its pictures, and its page in a browser."""

import argparse
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ibot_mm.datasets.transforms import ImageDecodeError
from ibot_mm.models import IBOTSwin
from tests.helpers.builders import ARCH, build_model
from tests.helpers.in_process import import_tool, run_tool
from tests.helpers.launched import ROOT, free_port, start

TOOL = 'visualization/explore.py'
# Beside the environment: see tools/environment.sh.
BESIDE = Path(sys.prefix) / 'explorer'
CHROMIUM = shutil.which('chromium')
SIZE = 64


@pytest.fixture(scope='module')
def folder(tmp_path_factory, shapes):
    """Checkpoints and images."""
    path = tmp_path_factory.mktemp('explorer')
    model = build_model()
    with torch.no_grad():  # tokens that differ
        model.teacher.backbone.patch_embed.projection.weight.mul_(100)
    torch.save(dict(state_dict=model.state_dict()), path / 'full.pth')
    torch.save(model.teacher.backbone.state_dict(), path / 'bare.pth')
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    torch.save(dict(state_dict=swin.state_dict()), path / 'swin.pth')
    photos = path / 'photos'
    for source in sorted(shapes.glob('val/*/*'))[::3]:
        target = photos / source.relative_to(shapes / 'val')
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    rng = np.random.default_rng(0)
    for name, shape, dtype in (('gray.png', (60, 40), np.uint8),
                               ('deep.png', (30, 31, 3), np.uint16),
                               ('tiny.png', (2, 3, 3), np.uint8)):
        values = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
        cv2.imwrite(str(photos / name), values)
    cv2.imwrite(str(photos / 'large.jpg'), np.full((3000, 4000), 90, np.uint8))
    (photos / 'damaged.png').write_bytes(
        (photos / 'gray.png').read_bytes()[:300])
    return path


def number(explorer, name):
    """Number of an image."""
    return next(i for i, path in enumerate(explorer.names)
                if Path(path).name == name)


@pytest.fixture(scope='module')
def explorer(folder):
    """All kinds of networks side by side, without a page."""
    network, session = (import_tool(f'visualization/{name}.py') for name in (
        'explored_network', 'explorer_session'))
    args = argparse.Namespace(network='teacher', device='cpu')
    paths = sorted(path for path in folder.glob('photos/**/*.*'))
    networks = []
    for name, heads, side in (('full', ARCH['num_heads'], 4),
                              ('bare', ARCH['num_heads'], 4),
                              ('swin', None, 2)):
        args.num_heads = heads
        networks.append(network.ExploredNetwork(args, f'{folder}/{name}.pth'))
        networks[-1].read_folder(paths, side, workers=0)
    return session.Explorer(networks, max_size=96)


@pytest.fixture
def session(explorer):
    """With the first image of the folder."""
    empty = import_tool('visualization/explorer_session.py').Session()
    return explorer.choose(empty, 0, 0, SIZE)


def test_folder(explorer):
    """The one damaged file of 13 is left out."""
    assert len(explorer.names) == 12
    assert not any('damaged' in name for name in explorer.names)
    network = explorer.networks[0]
    shapes = [x.shape for x in network.folder[1:3]]
    assert shapes == [(12, 24), (12, 4, 4, 24)]
    # Each image has its own features, computed here alone.
    i = number(explorer, 'gray.png')
    image = cv2.imread(explorer.names[i])[10:50]  # the center square
    square = cv2.resize(image, (32, 32), interpolation=cv2.INTER_AREA)
    found = network.embedder.encode(
        torch.from_numpy(square).permute(2, 0, 1)[None])
    torch.testing.assert_close(network.folder.patches[i].float(),
                               found.patches[0], rtol=1e-2, atol=1e-2)


def test_search(explorer):
    assert len(explorer.search('', 5)) == 5
    assert explorer.search('GRAY', 5) == [number(explorer, 'gray.png')]
    assert explorer.search('no such name', 5) == []


@pytest.mark.parametrize('name', ['gray.png', 'deep.png', 'tiny.png',
                                  'large.jpg'])
def test_any_image(explorer, session, name):
    session = explorer.choose(session, 0, number(explorer, name), SIZE)
    assert max(session.images[0].shape) <= 96  # max_size
    tokens = session.sights[0][0].tokens
    assert max(tokens.shape[:2]) == SIZE / 8
    # 64 pixels are shown 7 times as large.
    assert max(session.sights[0][0].image.shape) == 7 * SIZE


def test_size_is_bounded(explorer, session):
    session = explorer.resize(session, 5000)
    assert max(session.sights[0][0].tokens.shape[:2]) == 96 / 8


def test_a_click(explorer, session):
    """The patch clicked has a cosine of 1, in every network."""
    height, width = session.sights[0][0].image.shape[:2]
    session = explorer.click(session, 0, int(0.7 * width), int(0.3 * height))
    for i, sights in enumerate(session.sights):
        tokens = sights[0].tokens
        rows, columns = tokens.shape[:2]
        row, column = int(0.3 * rows), int(0.7 * columns)
        found = explorer.similar(session, i)
        assert (f'row {row + 1} of {rows}, column {column + 1} of {columns}'
                in found.words)
        normed = tokens / tokens.norm(dim=-1, keepdim=True)
        cosines = normed @ normed[row, column]
        assert f'of {cosines.min():.2f} (dark)' in found.words
    # The brightest color, in the middle of the patch.
    found = explorer.similar(session, 0)
    rows, columns = session.sights[0][0].tokens.shape[:2]
    side = height // rows
    y, x = (int((int(share * count) + 0.5) * side)
            for share, count in ((0.3, rows), (0.7, columns)))
    gray = cv2.cvtColor(session.sights[0][0].image, cv2.COLOR_BGR2GRAY)[y, x]
    yellow = cv2.applyColorMap(np.uint8([[255]]), cv2.COLORMAP_VIRIDIS)[0, 0]
    np.testing.assert_allclose(
        found.maps[0][y, x], 0.65 * yellow + 0.35 * gray, atol=1)


def test_nearest_images_of_the_folder(explorer, session):
    found = explorer.similar(session, 0)
    assert len(found.nearest) == 6
    captions = [caption for _, caption in found.nearest]
    assert not any(Path(session.names[0]).name in text for text in captions)
    scores = [float(text.split()[0]) for text in captions]
    assert scores == sorted(scores, reverse=True)


def test_a_second_image(explorer, session):
    assert len(explorer.similar(session, 0).maps) == 1
    session = explorer.choose(session, 1, number(explorer, 'large.jpg'), SIZE)
    maps = explorer.similar(session, 0).maps
    assert [picture.shape for picture in maps] == [
        sight.image.shape for sight in session.sights[0]]
    assert len(explorer.components(session, 0, True)) == 4


def test_attention(explorer, session):
    found = dict((caption, picture) for picture, caption in
                 explorer.attention(session, 0, 0.6))
    assert list(found) == ['image', 'all heads', 'mean over heads', 'head 1',
                           'head 2', 'head 3']
    grid = session.sights[0][0].attention[1]
    row, column = divmod(int(grid.argmax()), grid.shape[1])
    side = found['head 2'].shape[0] // len(grid)
    assert found['head 2'][row * side, column * side].tolist() == (
        cv2.applyColorMap(np.uint8([[255]]), cv2.COLORMAP_VIRIDIS)
        [0, 0].tolist())


def test_what_a_network_lacks(explorer, session):
    full, bare, swin = explorer.networks
    assert not full.no_attention and not full.no_patterns
    assert 'bare.pth' in bare.no_patterns and not bare.no_attention
    assert 'IBOTSwin has no CLS token' in swin.no_attention
    assert len(explorer.components(session, 2, False)) == 2


@pytest.mark.parametrize('centered', [False, True])
def test_patterns(explorer, folder, centered):
    """Ranked by tokens that are counted here."""
    weights = torch.load(folder / 'full.pth')['state_dict']
    model = build_model()
    model.load_state_dict(weights)
    features = explorer.networks[0].folder
    with torch.no_grad():
        logits = model.teacher.neck.eval()(
            features.cls.float(), features.patches.float().flatten(0, 2))
    centers = model.head.center.value, model.head.patch_center.value
    for tokens, values, center in zip(('cls', 'patch'), logits, centers):
        counts = (values - centered * center).argmax(1).bincount()
        picture, words = explorer.pattern(0, tokens, 1, centered)
        assert f'rank 1 of {(counts > 0).sum()}, ' in words
        assert f': {counts.max()} tokens' in words
        assert picture.shape[1] == 6 * 96
        last = explorer.pattern(0, tokens, 1000, centered)[1]
        assert f'rank {(counts > 0).sum()} of' in last


def test_uploads_are_not_kept(explorer, session, folder, tmp_path):
    for name in ('deep.png', 'damaged.png'):
        shutil.copy(folder / 'photos' / name, tmp_path)
    (tmp_path / 'text.png').write_text('no image')
    # A file of 1 KB whose header says 30000 x 30000 pixels.
    data = cv2.imencode('.jpg', np.zeros((8, 8, 3), np.uint8))[1].tobytes()
    before, after = data.split(bytes([0, 8, 0, 8, 3]))
    (tmp_path / 'huge.jpg').write_bytes(
        before + (30000).to_bytes(2) * 2 + bytes([3]) + after)
    changed = explorer.upload(session, 0, tmp_path / 'deep.png', SIZE)
    assert changed.names == ('deep.png', )
    for name in ('damaged.png', 'text.png', 'huge.jpg'):
        with pytest.raises(ImageDecodeError, match=name):
            explorer.upload(session, 0, tmp_path / name, SIZE)
    assert not list(tmp_path.iterdir())


def pretend_gradio(monkeypatch, version):
    monkeypatch.setattr('ibot_mm.dependencies.installed_version',
                        lambda name: version)


@pytest.mark.parametrize('version', [None, '5.49.1'])
def test_without_gradio(folder, monkeypatch, version):
    pretend_gradio(monkeypatch, version)
    with pytest.raises(ImportError, match='pip install "gradio>=6"'):
        run_tool(TOOL, folder / 'full.pth', '--images', folder / 'photos')


def test_port_in_use(folder, monkeypatch):
    """Said before images are read, which takes long."""
    pretend_gradio(monkeypatch, '6.0.0')
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(ValueError, match=f'port {port} .*--port'):
            run_tool(TOOL, folder / 'full.pth', '--images', folder / 'photos',
                     '--port', port)
    # No address of this machine (RFC 5737).
    with pytest.raises(ValueError, match='192.0.2.1.*--host'):
        run_tool(TOOL, folder / 'full.pth', '--images', folder / 'photos',
                 '--host', '192.0.2.1')


needs_gradio = pytest.mark.skipif(
    not BESIDE.is_dir(), reason=f'no Gradio in {BESIDE}: EXPLORER=1')


@needs_gradio
@pytest.mark.slow
def test_functions_of_the_page(explorer, session, monkeypatch):
    """A thumbnail is what it was, whatever is typed meanwhile."""
    monkeypatch.syspath_prepend(str(BESIDE))
    page = import_tool('visualization/explorer_page.py').build_page(
        explorer, SIZE, '')
    called = {found.name: found.fn for found in page.fns.values()}
    pictures, numbers = called['thumbnails']('gray')
    assert numbers == [number(explorer, 'gray.png')]
    assert pictures[0][1] == 'gray.png'
    names = called['choose'](session, 0, [3, 5], SIZE, 0.6, False,
                             argparse.Namespace(index=1))[1]
    assert Path(explorer.names[5]).name in names
    # Before an image is chosen there is nothing to draw.
    empty = type(session)()
    click = argparse.Namespace(index=(1, 1))
    for name, *args in (('resize', SIZE, 0.6, False), ('click', click),
                        ('draw_attention', 0.6), ('draw_components', False)):
        found = called[name](empty, *args)
        assert isinstance(found, dict), name  # gr.skip()
        assert isinstance(called[name](session, *args), list), name


@needs_gradio
@pytest.mark.slow
def test_a_closed_terminal_leaves_no_files(folder, tmp_path):
    path = os.pathsep.join([str(ROOT), str(BESIDE)])
    server = start(
        sys.executable, f'tools/{TOOL}', folder / 'full.pth', '--images',
        folder / 'photos', '--size', SIZE, '--grid', 4, '--num-heads',
        ARCH['num_heads'], '--workers', 0, PYTHONPATH=path,
        TMPDIR=str(tmp_path))
    assert any('open http' in line for line in server.stdout)
    assert list(tmp_path.glob('explorer_*'))
    server.send_signal(signal.SIGHUP)
    server.wait(60)
    assert not list(tmp_path.glob('explorer_*'))


# What the page's test runs on; the driver looks for no browser of its own.
needs_browser = pytest.mark.skipif(
    not (CHROMIUM and BESIDE.is_dir()),
    reason='no Chromium' if BESIDE.is_dir() else f'no Gradio in {BESIDE}')


@pytest.fixture(scope='module')
def page(folder):
    """The page of two checkpoints in a browser, and the server's process."""
    sys.path.append(str(BESIDE))
    from playwright.sync_api import sync_playwright
    port = free_port()
    path = os.pathsep.join([str(ROOT), str(BESIDE)])
    server = start(
        sys.executable, f'tools/{TOOL}', folder / 'full.pth', '--images',
        folder / 'photos', '--compare', folder / 'bare.pth', '--port', port,
        '--size', SIZE, '--max-size', 96, '--grid', 4, '--num-heads',
        ARCH['num_heads'], '--workers', 0, PYTHONPATH=path,
        TMPDIR=str(folder))
    try:
        assert any('open http' in line for line in server.stdout)
        with sync_playwright() as driver:
            browser = driver.chromium.launch(executable_path=CHROMIUM,
                                             args=['--no-sandbox'])
            page = browser.new_page(viewport=dict(width=1400, height=1000))
            page.set_default_timeout(60000)
            hosts = set()
            page.on('request', lambda request: hosts.add(
                request.url.split('/')[2]) if '://' in request.url else None)
            page.goto(f'http://127.0.0.1:{port}')
            page.wait_for_selector('#attention-1 img')
            yield page
            assert hosts == {f'127.0.0.1:{port}'}  # no fonts, no statistics
            browser.close()
    finally:
        server.terminate()
        server.wait(60)
        sys.path.remove(str(BESIDE))
    assert not list(folder.glob('explorer_*'))  # what Gradio wrote


def picture(page, name):
    """The pixels of an image of the page, RGB."""
    source = page.locator(f'#{name} img').get_attribute('src')
    data = page.request.get(source).body()
    return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)


@needs_browser
@pytest.mark.slow
def test_click_in_a_browser(page, explorer, session):
    """The pictures are those that the functions give."""
    page.get_by_role('tab', name='Similar patches').click()
    image = page.locator('#clicked-0 img')
    image.wait_for()
    before = picture(page, 'map-0')
    box = image.bounding_box()
    page.mouse.click(box['x'] + 0.3 * box['width'],
                     box['y'] + 0.6 * box['height'])
    rows, columns = session.sights[0][0].tokens.shape[:2]
    patch = (f'row {int(0.6 * rows) + 1} of {rows}, '
             f'column {int(0.3 * columns) + 1} of {columns}')
    page.locator('#words-0', has_text=patch).wait_for()
    page.locator('#words-1', has_text=patch).wait_for()
    page.wait_for_timeout(1000)  # until the images are loaded
    height, width = session.sights[0][0].image.shape[:2]
    session = explorer.click(session, 0, int(0.3 * width), int(0.6 * height))
    for i in range(2):
        expected = explorer.similar(session, i)
        np.testing.assert_array_equal(picture(page, f'map-{i}'),
                                      expected.maps[0])
        np.testing.assert_array_equal(picture(page, f'clicked-{i}'),
                                      expected.clicked)
    assert (before != picture(page, 'map-0')).any()
    assert page.locator('#nearest-0 img').count() == 6


@needs_browser
@pytest.mark.slow
def test_choose_and_upload_in_a_browser(page, folder):
    """A damaged upload is a sentence in the page, which lives on."""
    page.locator('#search input, #search textarea').fill('GRAY')
    page.locator('#thumbnails img').nth(1).wait_for(state='detached')
    page.locator('#thumbnails img').click()
    page.locator('#chosen', has_text='gray.png').wait_for()
    upload = page.locator('#upload').locator('xpath=..').locator(
        'input[type=file]')
    upload.set_input_files(folder / 'photos' / 'damaged.png')
    page.get_by_text('"damaged.png" cannot be decoded').wait_for()
    assert 'gray.png' in page.locator('#chosen').inner_text()
    upload.set_input_files(folder / 'photos' / 'deep.png')
    page.locator('#chosen', has_text='deep.png').wait_for()
    assert not list(folder.glob('explorer_*/**/deep.png'))


@needs_browser
@pytest.mark.slow
def test_tabs_in_a_browser(page):
    page.get_by_role('tab', name='Components').click()
    page.locator('#components-1 img').nth(1).wait_for()
    page.get_by_role('tab', name='Patterns').click()
    page.locator('#pattern-0 img').wait_for()
    assert page.get_by_text('bare.pth').last.is_visible()
    assert not page.locator('#pattern-1 img').count()
