"""The generator of the shapes data set."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.helpers.in_process import import_tool, run_tool

SCRIPT = 'dataset_tools/make_shapes.py'
COUNTS, NUM_CLASSES = (24, 8), 6
COCO_SPLITS = [('train2017', 'training'), ('val2017', 'validation')]


@pytest.fixture(scope='module')
def tool():
    return import_tool(SCRIPT)


@pytest.fixture(scope='module')
def data(tool, tmp_path_factory):
    out = tmp_path_factory.mktemp('shapes') / 'one'
    assert tool.make_shapes(out, COUNTS, NUM_CLASSES, workers=1)
    return out


def contents(root, pattern='*'):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in root.rglob(pattern) if path.is_file()
    }


def load(data, split):
    return COCO(str(data / 'coco/annotations' / f'instances_{split}.json'))


def listed(data, split):
    lines = (data / f'imagenet/meta/{split}.txt').read_text().splitlines()
    return [(name, int(label)) for name, label in map(str.split, lines)]


def label_maps(data, split):
    """Name and label map of each image of a split."""
    folder = data / 'ade20k/annotations' / split
    return {
        path.stem: cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        for path in sorted(folder.iterdir())
    }


@pytest.mark.parametrize('workers', [1, 3])
def test_bytes_depend_on_neither_run_nor_workers(tool, data, tmp_path,
                                                 workers):
    out = tmp_path / 'again'
    assert tool.make_shapes(out, COUNTS, NUM_CLASSES, workers=workers)
    assert contents(out) == contents(data)


def test_another_seed_gives_other_images(tool, data, tmp_path):
    tool.make_shapes(tmp_path / 'other', (6, 6), NUM_CLASSES, 1, ['imagenet'],
                     1)
    first = contents(data, '*.jpg')
    images = contents(tmp_path / 'other', '*.jpg')
    assert all(first[name] != image for name, image in images.items())


def test_larger_set_begins_with_the_smaller_one(tool, data, tmp_path):
    small = tmp_path / 'small'
    tool.make_shapes(small, (7, 5), NUM_CLASSES, workers=1)
    large = contents(data)
    images = {
        name: image
        for name, image in contents(small).items()
        if name.endswith(('.jpg', '.png'))
    }
    assert len(images) == 12 * 4
    assert all(large[name] == image for name, image in images.items())
    assert listed(data, 'train')[:7] == listed(small, 'train')
    for split, _ in COCO_SPLITS:
        few = load(small, split).dataset
        many = load(data, split).dataset
        count = len(few['annotations'])
        assert many['images'][:len(few['images'])] == few['images']
        assert many['annotations'][:count] == few['annotations']


def test_one_layout_has_the_files_of_all_three(tool, data, tmp_path):
    expected = contents(data)
    for layout in tool.LAYOUTS:
        out = tmp_path / layout
        tool.make_shapes(out, COUNTS, NUM_CLASSES, 0, [layout], 2)
        files = contents(out)
        assert json.loads(files.pop('shapes.json'))['layouts'] == [layout]
        assert files == {
            name: content
            for name, content in expected.items() if name.startswith(layout)
        }


def test_layouts_hold_the_same_images(data):
    for imagenet, (coco, ade) in zip(('train', 'val'), COCO_SPLITS):
        names = listed(data, imagenet)
        images = load(data, coco).dataset['images']
        assert len(names) == len(images) == len(label_maps(data, ade))
        for (name, _), image in zip(names, images):
            file = image['file_name']
            jpeg = (data / 'imagenet' / imagenet / name).read_bytes()
            assert Path(name).name == file
            assert (data / 'coco' / coco / file).read_bytes() == jpeg
            assert (data / 'ade20k/images' / ade / file).read_bytes() == jpeg
            pixels = cv2.imdecode(
                np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert pixels.shape == (image['height'], image['width'], 3)
            assert 160 <= min(pixels.shape[:2]) <= max(pixels.shape) <= 320


def test_image_sizes_vary(data):
    images = load(data, 'train2017').dataset['images']
    assert len({(i['height'], i['width']) for i in images}) > len(images) / 2


@pytest.mark.parametrize('coco, ade', COCO_SPLITS)
def test_coco_masks_are_the_label_maps(data, coco, ade):
    api, maps = load(data, coco), label_maps(data, ade)
    for image in api.dataset['images']:
        expected = maps[Path(image['file_name']).stem]
        assert expected.dtype == np.uint8
        labels, times = np.zeros_like(expected), np.zeros_like(expected)
        for item in api.imgToAnns[image['id']]:
            mask = api.annToMask(item).astype(bool)
            labels[mask] = item['category_id']
            times += mask
        assert times.max() <= 1
        np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize('coco', ['train2017', 'val2017'])
def test_areas_boxes_and_segmentations_agree(data, coco):
    api = load(data, coco)
    ids = [item['id'] for item in api.dataset['annotations']]
    assert ids == list(range(1, len(ids) + 1))
    for item in api.dataset['annotations']:
        code = api.annToRLE(item)
        assert item['area'] == coco_mask.area(code) > 0
        assert item['bbox'] == coco_mask.toBbox(code).tolist()
        assert isinstance(item['segmentation'],
                          dict if item['iscrowd'] else list)
        if not item['iscrowd']:
            assert min(map(len, item['segmentation'])) >= 8


def test_crowds_are_there_and_are_scattered(data):
    api = load(data, 'train2017')
    crowds = [a for a in api.dataset['annotations'] if a['iscrowd']]
    assert 2 <= len(crowds) < len(api.dataset['images'])
    parts = [
        cv2.connectedComponents(api.annToMask(item))[0] - 1
        for item in crowds
    ]
    assert max(parts) > 2


def test_listed_class_is_the_dominant_one(tool, data):
    for imagenet, (_, ade) in zip(('train', 'val'), COCO_SPLITS):
        maps = label_maps(data, ade)
        for name, label in listed(data, imagenet):
            areas = np.bincount(
                maps[Path(name).stem].ravel(), minlength=NUM_CLASSES + 1)
            assert areas[1:].argmax() == label
            assert Path(name).parent.name == tool.class_name(label)


def test_categories_and_folders_are_in_the_order_of_labels(tool, data):
    names = [tool.class_name(c) for c in range(NUM_CLASSES)]
    for split in 'train', 'val':
        folder = data / 'imagenet' / split
        assert {path.name for path in folder.iterdir()} == set(names)
        labels = [label for _, label in listed(data, split)]
        assert set(labels) == set(range(NUM_CLASSES))
        categories = load(data, f'{split}2017').dataset['categories']
        assert [c['name'] for c in categories] == names
        assert [c['id'] for c in categories] == list(
            range(1, NUM_CLASSES + 1))


def test_polygons_of_awkward_masks_are_exact(tool):
    rng = np.random.default_rng(0)
    ring = np.zeros((20, 30), bool)
    ring[2:18, 3:27], ring[5:15, 6:24], ring[8:12, 10:20] = True, False, True
    masks = [ring, np.ones((4, 5), bool), np.eye(7, dtype=bool)]
    masks += [rng.random((15, 11)) < share for share in (0.1, 0.5, 0.9)]
    for mask in masks:
        code = coco_mask.merge(
            coco_mask.frPyObjects(tool.polygons(mask), *mask.shape))
        np.testing.assert_array_equal(coco_mask.decode(code), mask)


def test_run_lengths_are_exact(tool):
    rng = np.random.default_rng(0)
    masks = [rng.random((15, 11)) < share for share in (0.1, 0.9)]
    masks += [np.ones((3, 2), bool), np.zeros((3, 2), bool)]
    for mask in masks:
        code = coco_mask.frPyObjects(tool.rle(mask), *mask.shape)
        np.testing.assert_array_equal(coco_mask.decode(code), mask)


def test_command_line_writes_then_reuses(tmp_path):
    args = tmp_path / 'set', '--train', 6, '--val', 3, '--workers', 1
    out, _ = run_tool(SCRIPT, *args)
    assert 'wrote 6 + 3 images' in out
    before = {p: p.stat().st_mtime_ns for p in args[0].rglob('*')}
    out, _ = run_tool(SCRIPT, *args)
    assert 'already complete' in out
    assert {p: p.stat().st_mtime_ns for p in args[0].rglob('*')} == before
    _, error = run_tool(SCRIPT, *args, '--seed', 1, code=2)
    assert str(args[0]) in error and len(error.splitlines()) == 1


@pytest.mark.parametrize('option, value', [('counts', (0, 5)),
                                           ('counts', (5, -1)),
                                           ('num_classes', 1),
                                           ('num_classes', 13), ('seed', -1),
                                           ('workers', 0)])
def test_bad_arguments_write_nothing(tool, tmp_path, option, value):
    with pytest.raises(ValueError):
        tool.make_shapes(tmp_path / 'set', **{option: value})
    assert not (tmp_path / 'set').exists()


def test_bad_argument_gives_one_sentence_and_status_2(tmp_path):
    out, error = run_tool(SCRIPT, tmp_path / 'set', '--classes', 13, code=2)
    assert not out and len(error.splitlines()) == 1
    assert '--classes' in error


def test_other_files_are_not_overwritten(tool, tmp_path):
    (tmp_path / 'mine.txt').write_text('mine')
    with pytest.raises(ValueError, match=str(tmp_path)):
        tool.make_shapes(tmp_path, (2, 2))
    with pytest.raises(ValueError, match='mine.txt'):
        tool.make_shapes(tmp_path / 'mine.txt', (2, 2))
    (tmp_path / 'shapes.json').write_text('{"counts": [2,')
    with pytest.raises(ValueError, match=str(tmp_path)):
        tool.make_shapes(tmp_path, (2, 2))
    assert (tmp_path / 'mine.txt').read_text() == 'mine'
    assert len(list(tmp_path.iterdir())) == 2
