"""Generated test sets in the layouts of published ones."""

import json

import cv2
import numpy as np
import pytest

from ibot_mm.datasets import VariantDataset
from tests.helpers.in_process import import_tool, run_tool

scene = import_tool('dataset_tools/shapes_scene.py')
backgrounds = import_tool('dataset_tools/shapes_backgrounds.py')
corruptions = import_tool('dataset_tools/shapes_corruptions.py')
shifts = import_tool('dataset_tools/shapes_shifts.py')
SETS = import_tool('dataset_tools/extra_sets.py').EXTRA_SETS
CLASSES = sorted(map(scene.class_name, range(12)))


def contents(root):
    return {str(path.relative_to(root)): path.read_bytes()
            for path in root.rglob('*') if path.is_file()}


def read(path):
    return cv2.imread(str(path)).astype(int)


def test_backgrounds(tmp_path):
    """Each variant shows what its name says; nine of twelve classes."""
    backgrounds.write_backgrounds(tmp_path, 0, per_class=2)
    mapping = json.loads((tmp_path / 'in_to_in9.json').read_text())
    assert list(mapping.values()) == [*range(9), -1, -1, -1]
    folders = sorted(p.name for p in (tmp_path / 'original/val').iterdir())
    assert folders == [f'{i:02d}_{name}' for i, name in
                       enumerate(CLASSES[:9])]
    data = VariantDataset(str(tmp_path), {
        name: f'{name}/val' for name in (
            'only_fg', 'mixed_same', 'mixed_rand', 'mixed_next', 'no_fg',
            'only_bg_b', 'only_bg_t', 'original')})
    assert len(data) == 8 * 9 * 2
    # The scene that was drawn for the first image of the first class.
    first = [scene.class_name(i) for i in range(12)].index(CLASSES[0])
    image, _, mask = scene.draw_single(0, backgrounds.SPLIT, first, 12, 224,
                                       backgrounds.RADIUS)
    inside = cv2.erode(mask.astype(np.uint8), np.ones((17, 17))) > 0
    outside = cv2.dilate(mask.astype(np.uint8), np.ones((17, 17))) == 0

    def difference(variant, where, wanted):
        picture = read(tmp_path / variant / 'val' / folders[0] / '000000.jpg')
        return np.abs(picture - wanted)[where].mean()

    for variant in ('original', 'only_fg', 'mixed_same', 'mixed_next'):
        assert difference(variant, inside, image) < 6, variant
    for variant in ('no_fg', 'only_bg_b', 'original'):
        assert difference(variant, outside & (np.arange(224) < 8),
                          image) < 8, variant
    for variant in ('no_fg', 'only_bg_b'):
        assert difference(variant, inside, 0) < 2
    assert difference('only_fg', outside, 0) < 2
    assert difference('only_bg_t', inside, image) > 20
    for variant in ('mixed_same', 'mixed_next', 'mixed_rand'):
        assert difference(variant, outside, image) > 20, variant


@pytest.mark.slow
def test_corruptions(tmp_path):
    pytest.importorskip('imagecorruptions')
    for name in ('one', 'two'):
        corruptions.write_corruptions(tmp_path / name, 0, count=5)
    files = contents(tmp_path / 'one')
    assert files == contents(tmp_path / 'two')
    assert len(files) == 19 * 5 * 5
    # More severe is further from the image; class folders are those of it.
    wanted = corruptions.square(scene.draw_scene(0, 3, 4, 12).image, 64)
    for name in ('gaussian_noise', 'brightness', 'defocus_blur'):
        far = [np.abs(read(
            tmp_path / 'one' / name / str(severity) / scene.class_name(4)
            / '000004.jpg') - wanted).mean() for severity in (1, 3, 5)]
        assert far == sorted(far) and far[0] > 1


def test_other_scenes(tmp_path):
    shifts.write_hard(tmp_path / 'a', 0, per_class=1)
    shifts.write_renditions(tmp_path / 'r', 0, per_class=1)
    shifts.write_new(tmp_path / 'v2', 0, per_class=1)
    names = [{path.name for path in (tmp_path / kind).iterdir()}
             for kind in ('a', 'r')]
    assert len(names[0]) == len(names[1]) == 6
    assert names[0] | names[1] == set(CLASSES)
    # Numbers are those of the sorted names.
    index = 4
    folder = tmp_path / 'v2' / str(CLASSES.index(scene.class_name(index)))
    wanted = scene.draw_scene(0, shifts.NEW, index, 12).image
    assert np.abs(read(folder / '000004.jpg') - wanted).mean() < 10


def test_option_of_the_data_set(tmp_path, monkeypatch):
    """Written once; another seed is an error."""
    arguments = [tmp_path / 'data', '--train', 2, '--val', 2, '--layouts',
                 'imagenet', '--workers', 1, '--extra', 'tiny']
    calls = []
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'shapes.json').write_text(json.dumps(dict(
        version=1, counts=[2, 2], num_classes=12, seed=0,
        layouts=['imagenet'])))  # the data set is there already

    def write(folder, seed):
        folder.mkdir()
        calls.append((folder, seed))

    monkeypatch.setitem(SETS, 'tiny', write)
    tool = 'dataset_tools/make_shapes.py'
    assert 'wrote' in run_tool(tool, *arguments).out.splitlines()[-1]
    assert 'already' in run_tool(tool, *arguments).out.splitlines()[-1]
    assert calls == [(tmp_path / 'data' / 'tiny', 0)]
    (tmp_path / 'data' / 'tiny' / 'shapes.json').write_text('{}')
    assert 'tiny' in run_tool(tool, *arguments, code=2).err
