"""The tools that list the problems of COCO and of segmentation data."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.helpers.in_process import import_tool, run_tool

COCO = 'dataset_tools/check_coco.py'
SEGMENTATION = 'dataset_tools/check_segmentation.py'


def write(path, values, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values)).save(path, **options)


def problems(findings):
    return [found for found in findings if not found.startswith('note:')]


def notes(findings):
    return [found for found in findings if found.startswith('note:')]


# --------------------------------------------------------------------- COCO


def box(i, image=1, category=7, **changes):
    """An annotation of a box with a mask."""
    return {
        **dict(id=i, image_id=image, category_id=category, area=12.,
               bbox=[1, 1, 4, 3], iscrowd=0,
               segmentation=[[1, 1, 5, 1, 5, 4]]), **changes
    }


def content(**changes):
    """Three images, one of them without a box and one in a sub-folder."""
    names = ('a.png', 'more/b.png', 'c.png')
    return {
        **dict(
            images=[dict(id=i, file_name=name, width=8, height=6)
                    for i, name in enumerate(names, 1)],
            categories=[dict(id=3, name='cat'), dict(id=5, name='bird'),
                        dict(id=7, name='dog')],
            annotations=[box(11), box(12, category=3), box(13, image=2)]),
        **changes
    }


@pytest.fixture()
def coco(tmp_path):
    """Checks a file with this content, next to its images."""
    for image in content()['images']:
        write(tmp_path / 'img' / image['file_name'],
              np.zeros((6, 8, 3), np.uint8))

    def check(file, **settings):
        path = tmp_path / 'boxes.json'
        path.write_text(file if isinstance(file, str) else json.dumps(file))
        return list(import_tool(COCO).check_coco(
            str(path), str(tmp_path / 'img'), **settings))

    return check


def test_good_annotations(coco):
    found = coco(content())
    assert problems(found) == []
    classes, without_box = found
    assert "metainfo.classes: ['cat', 'bird', 'dog']" in classes
    assert '1 images' in without_box
    images = [dict(image, id=str(image['id'])) for image in
              content()['images']]
    assert problems(coco(content(images=images, annotations=[
        box(11, image='1', area=12), box(12, image='1', segmentation=None),
        box(13, image='2', segmentation=dict(size=[6, 8], counts=[48]))
    ]))) == []


@pytest.mark.parametrize('text, start', [
    ('', 'not JSON'), ('{"images": [', 'not JSON'), ('[1]', 'a JSON list'),
])
def test_files_that_are_no_coco_annotations(coco, text, start):
    finding, = coco(text)
    assert finding.startswith(start)


@pytest.mark.parametrize('changes, place, word', [
    (dict(images=[*content()['images'], 'd.png']), 'images[3]', 'd.png'),
    (dict(annotations=[box(11), dict(id=12, image_id=1)]), 'annotations[1]',
     'category_id'),
    (dict(annotations=[box(11), box(12, category=8)]), 'annotation 12', '8'),
    (dict(annotations=[box(11), box(12, category='7')]), 'annotation 12',
     "'7'"),
    (dict(annotations=[box(11), box(12, bbox=[1, 2, 3])]), 'annotations[1]',
     'bbox is [1, 2, 3]'),
    (dict(annotations=[box(11), box(12, bbox=[1, 2, 3, float('nan')])]),
     'annotations[1]', 'bbox is [1, 2, 3, nan]'),
    (dict(annotations=[box(11), box(12, image=99)]), 'annotation 12', '99'),
    (dict(annotations=[box(11), box(12, image='2')]), 'annotation 12', "'2'"),
    (dict(annotations=[box(11), box(12, image=[1])]), 'annotations[1]',
     'image_id is [1]'),
    (dict(annotations=[box(11), box(12, area='12')]), 'annotations[1]',
     "area is '12'"),
    (dict(annotations=[box(11), box(11)]), '2 annotations', 'id 11'),
    (dict(annotations=[box(11), box(12, segmentation='1,1,5,1')]),
     'annotations[1]', "segmentation is '1,1,5,1'"),
    (dict(images=[*content()['images'], content()['images'][0]]), '2 images',
     'id 1'),
    (dict(categories=[*content()['categories'], dict(id=9, name='dog')]),
     '2 categories', "'dog'"),
    (dict(annotations=[box(11, iscrowd=1)]), 'no annotation', 'trained'),
    (dict(annotations=[]), 'no list', '"annotations"'),
])
def test_wrong_entries(coco, changes, place, word):
    finding, = problems(coco(content(**changes)))
    assert finding.startswith(place) and word in finding


def test_all_problems_are_listed(coco, tmp_path):
    (tmp_path / 'img' / 'a.png').unlink()
    image = tmp_path / 'img' / 'c.png'
    image.write_bytes(image.read_bytes()[:-30])
    write(tmp_path / 'img' / 'more' / 'b.png', np.zeros((8, 6), np.uint8))
    found = problems(coco(content(annotations=[
        box(11, image=7), box(12), box(13, category=1), box(14, bbox=[1])])))
    assert len(found) == 6
    for words in ('annotations[3]', 'annotation 11', 'annotation 13',
                  'img/a.png', 'img/c.png',
                  'img/more/b.png: 6 x 8'):
        assert len([line for line in found if words in line]) == 1, words


def test_size_of_a_turned_image(coco, tmp_path):
    """OpenCV turns an image by its EXIF tag, and so does MMDetection."""
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / 'img' / 'a.png'
    write(path, np.zeros((8, 6, 3), np.uint8), format='JPEG',
          exif=exif.tobytes())
    import mmcv
    assert mmcv.imread(str(path)).shape == (6, 8, 3)
    assert problems(coco(content())) == []


@pytest.mark.parametrize('changes, reason', [
    (dict(bbox=[20, 20, 4, 4]), 'outside'),
    (dict(bbox=[1, 1, 0.5, 3]), 'below 1'),
    (dict(area=0), 'no area'),
    (dict(ignore=1), '"ignore"'),
    (dict(category_id=5), 'other classes'),
])
def test_boxes_that_mmdetection_does_not_train_on(coco, tmp_path, changes,
                                                  reason):
    mmdet = pytest.importorskip('mmdet.datasets')
    classes = ('cat', 'dog')
    file = content(annotations=[box(11), box(12, **changes)])
    found = coco(file, classes=classes)
    assert problems(found) == []
    assert '1 boxes' in found[0] and reason in found[0]
    data = mmdet.CocoDataset(
        ann_file=str(tmp_path / 'boxes.json'), serialize_data=False,
        data_prefix=dict(img=str(tmp_path / 'img')),
        metainfo=dict(classes=classes))
    assert len(data.get_data_info(0)['instances']) == 1


def test_classes_and_masks(coco):
    assert problems(coco(content(), classes=('cat', 'dog'))) == []
    finding, = problems(coco(content(), classes=('cat', 'cow', 'dog')))
    assert finding.startswith("['cow'] are no categories")
    finding, = problems(coco(content(), classes=('dog', 'cat')))
    assert "['cat', 'dog'], not ['dog', 'cat']" in finding
    file = content(annotations=[box(11), box(12, segmentation=[])])
    assert problems(coco(file)) == []
    finding, = problems(coco(file, masks=True))
    assert finding.startswith('annotation 12') and 'segmentation' in finding


def test_command_line_of_check_coco(coco, tmp_path):
    coco(content())
    args = (tmp_path / 'boxes.json', '--images', tmp_path / 'img')
    out, _ = run_tool(COCO, *args, '--classes', 'cat', 'bird', 'dog')
    assert out.splitlines()[-1] == '0 problems'
    out, progress = run_tool(COCO, *args, '--classes', 'dog', 'cat', 'cow',
                             code=1)
    assert out.splitlines()[-1] == '1 problems'
    assert '3 of 3 images' in progress and '3 of 3 images' not in out
    _, error = run_tool(COCO, tmp_path / 'no.json', *args[1:], code=2)
    assert 'no.json' in error


# ------------------------------------------------------------- segmentation

# Values of ADE20K: 0 is ignored, 1 to 150 are the classes.
MAP = np.array([[0, 1, 150], [150, 7, 255]], np.uint8)


@pytest.fixture()
def seg(tmp_path):
    """Checks the data set of three images and maps."""
    for name in ('a', 'more/b', 'c'):
        write(tmp_path / 'img' / f'{name}.jpg', np.zeros((2, 3, 3), np.uint8))
        write(tmp_path / 'ann' / f'{name}.png', MAP)

    def check(num_classes=150, reduce_zero_label=True, **settings):
        return list(import_tool(SEGMENTATION).check_segmentation(
            tmp_path / 'img', tmp_path / 'ann', num_classes,
            reduce_zero_label, **settings))

    return check


def test_good_maps(seg, tmp_path):
    absent = sorted(set(range(150)) - {0, 6, 149})
    finding, = seg()
    assert finding.startswith('note:') and str(absent) in finding
    for name in ('a', 'more/b', 'c'):
        write(tmp_path / 'ann' / f'{name}.png',
              np.uint8([[0, 1, 2], [2, 1, 255]]))
    assert seg(3, False) == []
    assert seg(2, True) == []


@pytest.mark.parametrize('values, settings, words', [
    ([[0, 1, 151]] * 2, dict(), ('2 pixels', '[151]', '1 to 150')),
    ([[0, 1, 2]] * 2, dict(num_classes=2, reduce_zero_label=False),
     ('2 pixels', '[2]', '0 to 1')),
    ([[0, 1, 255]] * 2, dict(num_classes=2, reduce_zero_label=False,
                             ignore_index=9), ('2 pixels', '[255]', '0 to 1')),
    (np.uint16([[0, 1, 257]] * 2), dict(), ('2 pixels', '[257]', '1 to 150')),
    (np.zeros((2, 3, 3)), dict(), ('3 channels', )),
    (MAP.T, dict(), ('2 x 3 pixels', '3 x 2')),
])
def test_wrong_maps(seg, tmp_path, values, settings, words):
    if settings:  # of other classes
        for name in ('a', 'more/b'):
            write(tmp_path / 'ann' / f'{name}.png', np.uint8([[0, 1, 0]] * 2))
    path = tmp_path / 'ann' / 'c.png'
    write(path, values if values is MAP.T or getattr(
        values, 'dtype', None) == np.uint16 else np.uint8(values))
    finding, = problems(seg(**settings))
    assert finding.startswith(f'{path}: ')
    assert [word for word in words if word not in finding] == []


def test_all_problems_of_a_folder_are_listed(seg, tmp_path):
    (tmp_path / 'ann' / 'a.png').write_bytes(b'no image')
    (tmp_path / 'ann' / 'c.png').unlink()
    (tmp_path / 'img' / 'more' / 'b.jpg').write_bytes(b'no image')
    write(tmp_path / 'ann' / 'more' / 'd.png', MAP)
    (tmp_path / 'ann' / '._a.png').write_bytes(b'')
    found = problems(seg())
    assert len(found) == 4
    for name in ('ann/a.png', 'ann/c.png', 'img/more/b.jpg',
                 'ann/more/d.png: no image'):
        assert len([line for line in found if name in line]) == 1
    # Only what a list names is read.
    (tmp_path / 'list.txt').write_text('more/b\nmore/x\n')
    found = problems(seg(ann_file=str(tmp_path / 'list.txt')))
    assert [name in ''.join(found) for name in (
        'img/more/b.jpg', 'img/more/x.jpg', 'ann/more/x.png', 'a.png')
    ] == [True, True, True, False]


def test_folder_without_images(seg, tmp_path):
    finding, = problems(seg(img_suffix='.tif', seg_map_suffix='.tif'))
    assert '.tif' in finding and str(tmp_path / 'img') in finding


def test_command_line_of_check_segmentation(seg, tmp_path):
    args = ('--images', tmp_path / 'img', '--maps', tmp_path / 'ann',
            '--num-classes')
    out, _ = run_tool(SEGMENTATION, *args, 150, '--reduce-zero-label')
    assert out.splitlines()[-1] == '0 problems'
    out, _ = run_tool(SEGMENTATION, *args, 150, code=1)
    assert out.splitlines()[-1] == '3 problems'
    _, error = run_tool(SEGMENTATION, '--images', tmp_path / 'no', *args[2:],
                        150, code=2)
    assert str(tmp_path / 'no') in error
