"""Tools that draw what a network has learned."""

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from ibot_mm import Embedder
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOTSwin
from tests.helpers.builders import ARCH, build_model
from tests.helpers.in_process import import_tool, run_tool
from tests.helpers.shapes import write_shapes

HEADS = ARCH['num_heads']


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    model = build_model()
    path = tmp_path_factory.mktemp('network') / 'epoch_1.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    return path


@pytest.fixture(scope='module')
def photos(tmp_path_factory):
    """Colors, gray, 16 bits, large; one that is damaged."""
    folder = tmp_path_factory.mktemp('photos')
    rng = np.random.default_rng(0)
    for name, shape, dtype in (('color.png', (50, 90, 3), np.uint8),
                               ('gray.png', (60, 40), np.uint8),
                               ('deep.png', (30, 30, 3), np.uint16),
                               ('large.jpg', (1500, 2000, 3), np.uint8)):
        values = rng.integers(0, np.iinfo(dtype).max, shape, dtype=dtype)
        cv2.imwrite(str(folder / name), values)
    (folder / 'damaged.png').write_bytes(
        (folder / 'color.png').read_bytes()[:500])
    return folder


def run(tool, checkpoint, *args, code=0):
    return run_tool(f'visualization/{tool}', checkpoint, *args,
                    '--num-heads', HEADS, '--device', 'cpu', code=code)


@pytest.mark.parametrize('tool, columns', [
    ('attention_maps.py', 2 + HEADS), ('pca.py', 2)])
def test_a_folder(checkpoint, photos, tmp_path, tool, columns):
    output = run(tool, checkpoint, photos, '--out', tmp_path, '--size', 96)
    assert str(tmp_path / 'index.html') in output.out
    assert 'damaged.png' in output.out + output.err
    # Longer sides of 96, both sides multiples of 8.
    sizes = dict(color=(56, 96), gray=(96, 64), deep=(96, 96),
                 large=(72, 96))
    for name, (height, width) in sizes.items():
        picture = cv2.imread(str(tmp_path / f'{name}.png'))
        assert picture.shape == (height, columns * width, 3)
    page = (tmp_path / 'index.html').read_text()
    assert sorted(re.findall('src="(.*?)"', page)) == sorted(
        f'{name}.png' for name in sizes)


def test_chosen_images(checkpoint, photos, tmp_path):
    """Single files, and a limit with a seed."""
    for folder in ('a', 'b'):
        run('pca.py', checkpoint, photos / 'color.png', photos / 'gray.png',
            photos / 'deep.png', '--limit', 2, '--seed', 1, '--size', 48,
            '--out', tmp_path / folder)
    first, second = (
        sorted(path.name for path in (tmp_path / folder).iterdir())
        for folder in ('a', 'b'))
    assert first == second and len(first) == 3


@pytest.mark.parametrize('tool, axis', [('attention_maps.py', 0),
                                        ('pca.py', 1)])
def test_beside_the_untrained_network(checkpoint, photos, tmp_path, tool,
                                      axis):
    """The trained one first, as without it; then another one."""
    found = []
    for folder, options in (('a', ()), ('b', ['--untrained'])):
        output = run(tool, checkpoint, photos / 'color.png', '--size', 96,
                     '--out', tmp_path / folder, *options)
        found.append(cv2.imread(str(tmp_path / folder / 'color.png')))
    trained, both = found
    assert 'init_weights' not in output.out  # a line for each parameter
    length = trained.shape[axis]
    first, second = np.split(both, [length], axis)
    assert (first == trained).all()
    drawn = np.split(trained, [96], 1)[1]  # without the image
    other = second if axis else np.split(second, [96], 1)[1]
    assert other.shape == drawn.shape and (other != drawn).any()


def test_a_film(checkpoint, tmp_path):
    """Frames of a folder, then the film that was made of them."""
    frames = tmp_path / 'frames'
    frames.mkdir()
    for i in range(5):
        cv2.imwrite(str(frames / f'{i}.png'),
                    np.full((48, 64, 3), 40 * i, np.uint8))
    run('attention_maps.py', checkpoint, frames, '--video', '--fps', 5,
        '--size', 64, '--out', tmp_path)
    film = tmp_path / 'attention.mp4'
    run('attention_maps.py', checkpoint, film, '--video', '--size', 64,
        '--out', tmp_path / 'again')
    for path in (film, tmp_path / 'again' / 'attention.mp4'):
        video = cv2.VideoCapture(str(path))
        assert video.get(cv2.CAP_PROP_FPS) == 5
        assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 5
        assert video.read()[1].shape == (48, 64, 3)


def accuracy(output):
    """Accuracy, patches, pairs and the level of chance."""
    return list(map(float, re.search(
        r'accuracy ([\d.]*)%.* \((.*?) patches in (.*?) pairs of views; at '
        r'random (.*?)%\)', output.out).groups()))


def test_matches_of_views(checkpoint, photos, tmp_path):
    output = run('correspondence.py', checkpoint, photos, '--out', tmp_path,
                 '--size', 48, '--num', 3)
    found, patches, pairs, chance = accuracy(output)
    assert pairs == 4 and 0 < patches <= 4 * 36 and 0 <= found <= 100
    assert chance == 2.8  # 1 / 36
    drawn = sorted(tmp_path.glob('*.png'))
    assert len(drawn) == 3
    assert cv2.imread(str(drawn[0])).shape == (48, 96, 3)
    assert f'accuracy {found}%' in (tmp_path / 'index.html').read_text()
    # All matches are within 5 rows and columns of 6.
    assert accuracy(run('correspondence.py', checkpoint, photos, '--out',
                        tmp_path, '--size', 48, '--radius', 5))[::3] == [
        100, 100]
    output = run('correspondence.py', checkpoint, photos / 'color.png',
                 '--out', tmp_path, '--size', 48, '--untrained')
    assert 'untrained: ' in output.out
    assert cv2.imread(str(tmp_path / 'color.png')).shape == (96, 96, 3)


def test_matches_in_a_class(checkpoint, shapes, photos, tmp_path):
    """24 images of 12 classes."""
    output = run('correspondence.py', checkpoint, shapes / 'val', '--out',
                 tmp_path, '--size', 48, '--pairs', 'class')
    page = (tmp_path / 'index.html').read_text()
    pairs = re.findall('<figcaption>(.*?)/([^/]*?) and (.*?)/([^/]*?)<', page)
    assert f'{len(pairs)} pairs' in output.out and pairs
    assert all(a == c and b != d for a, b, c, d in pairs)
    with pytest.raises(ValueError, match='--pairs class'):
        run('correspondence.py', checkpoint, photos / 'color.png', '--out',
            tmp_path, '--pairs', 'class')


def test_matches_of_swin(photos, tmp_path):
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    torch.save(dict(state_dict=swin.state_dict()), tmp_path / 'swin.pth')
    output = run_tool('visualization/correspondence.py',
                      tmp_path / 'swin.pth', photos, '--out',
                      tmp_path / 'out', '--limit', 2)
    # 224 / 32 patches per side.
    assert accuracy(output)[2:] == [2, 2.0]
    assert 'IBOTSwin' in output.out and not list(tmp_path.glob('out/*.png'))


def test_layouts(shapes, tmp_path):
    """Against logits of the teacher that are computed here."""
    checkpoint, model = tmp_path / 'epoch_1.pth', build_model()
    teacher = model.teacher.eval()
    with torch.no_grad():  # tokens that differ
        teacher.backbone.patch_embed.projection.weight.mul_(100)
        for name, parameter in teacher.named_parameters():
            if name.startswith('neck.mlp'):
                parameter.mul_(0 if 'bias' in name else 50)
        model.head.center.value.mul_(20)
    torch.save(dict(state_dict=model.state_dict()), checkpoint)

    def draw(*args):
        return run('pattern_layouts.py', checkpoint, shapes / 'val', '--out',
                   tmp_path, '--size', 32, '--num', 2, '--workers', 0, *args)

    output = draw('--grid', 4)
    embedder = Embedder(checkpoint, device='cpu', resize=37, crop=32,
                        num_heads=HEADS)
    paths = sorted(shapes.glob('val/*/*'))
    with torch.no_grad():
        found = embedder(paths)
        cls, patches = teacher.neck(found.cls, found.patches.flatten(0, 2))
    counts = patches.argmax(1).bincount().sort(descending=True)
    used = int((counts.values > 0).sum())
    assert f'{used} prototypes have any of 384 patch tokens' in output.out
    drawn = [path for path in tmp_path.glob('*.png')]
    assert len(drawn) == 2
    assert cv2.imread(str(drawn[0])).shape[1] == 2 * 96
    page = (tmp_path / 'index.html').read_text()
    assert f': {int(counts.values[0])} tokens' in page
    # The second call only draws.
    shard, = tmp_path.glob('prototypes_*/0.npz')
    written = shard.stat().st_mtime_ns
    output = draw('--tokens', 'cls')
    labels = cls.argmax(1)
    assert (f'{len(labels.unique())} prototypes have any of 24 cls tokens'
            in output.out)
    names = [path.parent.name for path in paths]
    largest = sum(max(map(members.count, members)) for members in (
        [n for n, own in zip(names, labels.tolist()) if own == k]
        for k in labels.unique().tolist()))
    assert f'purity {100 * largest / 24:.1f} %' in output.out
    assert shard.stat().st_mtime_ns == written
    # The centers are those of the training.
    centered = (cls - model.head.center.value).argmax(1)
    assert len(centered.unique()) != len(labels.unique())
    output = draw('--tokens', 'cls', '--centered')
    assert f'{len(centered.unique())} prototypes have' in output.out


def test_layouts_need_a_head(shapes, tmp_path):
    model = build_model()
    torch.save(dict(state_dict=model.teacher.backbone.state_dict()),
               tmp_path / 'bare.pth')
    with pytest.raises(CheckpointError, match='bare.pth.*projection head'):
        run('pattern_layouts.py', tmp_path / 'bare.pth', shapes, '--out',
            tmp_path)
    torch.save(dict(state_dict=model.teacher.state_dict()),
               tmp_path / 'teacher.pth')
    with pytest.raises(CheckpointError, match='head.center.value'):
        run('pattern_layouts.py', tmp_path / 'teacher.pth', shapes, '--out',
            tmp_path, '--centered')


def test_masks(checkpoint, photos, tmp_path):
    """All patches, and an object of the upper half, give 50 %."""
    (tmp_path / 'masks').mkdir()
    labels = np.zeros((40, 40), np.uint8)
    labels[:20] = 3
    cv2.imwrite(str(tmp_path / 'masks' / 'color.png'), labels)
    args = ('--masks', tmp_path / 'masks', '--out', tmp_path, '--size', 64)
    output = run('attention_maps.py', checkpoint, photos / 'color.png',
                 *args, '--mass', 1)
    expected = 'Jaccard of the best head 50.0%, per head 50.0%'
    assert expected in output.out
    assert expected in (tmp_path / 'index.html').read_text()
    with pytest.raises(ValueError, match='gray.png'):
        run('attention_maps.py', checkpoint, photos / 'gray.png', *args)


def coco_file(path, **changes):
    """Two rectangles, which overlap, and a crowd on part of one."""
    def polygon(left, top, right, bottom):
        return [[left, top, right, top, right, bottom, left, bottom]]

    runs = [15, *[15, 25] * 39, 15, 10]  # rows 15 to 29 of each column
    path.write_text(json.dumps(dict(
        images=[dict(id=7, file_name='color.png', height=40, width=40)],
        categories=[dict(id=i, name=str(i)) for i in (3, 900)],
        annotations=[
            dict(id=1, image_id=7, category_id=3, iscrowd=0,
                 segmentation=polygon(0, 0, 40, 20)),
            dict(id=2, image_id=7, category_id=900, iscrowd=0,
                 segmentation=polygon(0, 10, 20, 25)),
            dict(id=3, image_id=7, category_id=900, iscrowd=1,
                 segmentation=dict(size=[40, 40], counts=runs))]) | changes))
    return path


def test_masks_of_coco(checkpoint, photos, tmp_path):
    """Attention on all patches; areas in pixels of 1600, by hand."""
    pytest.importorskip('pycocotools')
    masks = coco_file(tmp_path / 'instances.json')
    args = (photos / 'color.png', '--size', 64, '--mass', 1, '--masks', masks,
            '--out', tmp_path)
    # Objects 800 + 5 * 20 = 900. Not counted: 15 rows of the crowd, 600, but
    # for 5 rows of the first and 20 x 5 of the second object.
    for labels, objects, counted in (
            ((), 900, 1600 - 600 + 5 * 40 + 5 * 20),
            ((3, ), 800, 1600),  # its category has no crowd
            ((900, ), 300, 1600 - 600 + 10 * 20)):
        more = ('--labels', *labels) if labels else ()
        output = run('attention_maps.py', checkpoint, *args, *more)
        expected = f'best head {objects / counted:.1%}, per head'
        assert expected in output.out, labels
    with pytest.raises(ValueError, match='--labels.* 4;'):
        run('attention_maps.py', checkpoint, *args, '--labels', 4)
    with pytest.raises(ValueError, match='instances.json.*gray.png'):
        run('attention_maps.py', checkpoint, photos / 'gray.png', *args[1:])
    masks.write_text('{')
    with pytest.raises(ValueError, match='instances.json'):
        run('attention_maps.py', checkpoint, *args)


def test_other_files_of_coco(tmp_path):
    pytest.importorskip('pycocotools')
    read = import_tool('visualization/coco_label_maps.py').CocoLabelMaps
    file = coco_file(tmp_path / 'instances.json')
    content = json.loads(file.read_text())
    image, = content['images']
    coco_file(file, images=[dict(image, id=i, file_name=f'{i}/color.png')
                            for i in (7, 8)])
    with pytest.raises(ValueError, match='instances.json.*"color.png"'):
        read(str(file))
    for key in ('iscrowd', 'segmentation'):
        coco_file(file, annotations=[
            {name: value for name, value in item.items() if name != key}
            for item in content['annotations']])
        with pytest.raises(ValueError, match=f'instances.json.*{key}'):
            read(str(file))(Path('color.png'))


def test_masks_of_the_same_scenes_agree(checkpoint, tmp_path):
    """COCO's file and ADE20K's maps, where there is no crowd."""
    pytest.importorskip('pycocotools')
    data = write_shapes(tmp_path / 'shapes', 1, 6, ('coco', 'ade20k'))
    file = data / 'coco' / 'annotations' / 'instances_val2017.json'
    content = json.loads(file.read_text())
    crowded = {item['image_id'] for item in content['annotations']
               if item['iscrowd']}
    images = [data / 'coco' / 'val2017' / item['file_name']
              for item in content['images'] if item['id'] not in crowded]
    assert len(images) > 2
    outputs = [
        run('attention_maps.py', checkpoint, *images, '--size', 64, '--out',
            tmp_path, '--masks', masks).out for masks in (
                file, data / 'ade20k' / 'annotations' / 'validation')]
    results = [re.search('best head .*', output)[0] for output in outputs]
    assert results[0] == results[1] and '(0 images)' not in results[0]


def test_bad_input(checkpoint, photos, tmp_path):
    (tmp_path / 'none').mkdir()
    for images, words in ((photos / 'damaged.png', 'none of 1'),
                          (tmp_path / 'none', 'none'),
                          (tmp_path / 'nowhere', 'nowhere')):
        with pytest.raises((ValueError, FileNotFoundError), match=words):
            run('pca.py', checkpoint, images, '--out', tmp_path)
    run('attention_maps.py', checkpoint, photos, '--out', tmp_path,
        '--video', '--untrained', code=2)
    swin = IBOTSwin(arch=dict(embed_dims=8, depths=[1, 1, 1, 1],
                              num_heads=[1, 1, 1, 1]))
    torch.save(dict(state_dict=swin.state_dict()), tmp_path / 'swin.pth')
    cv2.imwrite(str(tmp_path / 'tall.png'), np.zeros((1200, 500, 3), np.uint8))
    run_tool('visualization/pca.py', tmp_path / 'swin.pth',
             tmp_path / 'tall.png', '--out', tmp_path / 'tall')
    # Cells of 32 pixels: 480 and 480 x 5 / 12 = 200, of which 6 are 192.
    assert cv2.imread(str(tmp_path / 'tall' / 'tall.png')).shape == (
        480, 2 * 192, 3)
    with pytest.raises(ValueError, match='IBOTSwin has no CLS token'):
        run_tool('visualization/attention_maps.py', tmp_path / 'swin.pth',
                 photos, '--size', 224, '--out', tmp_path)
