"""Bad COCO data is named; good data is the host's own."""

import json
import os

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image

from ibot_mm.datasets import CheckedCocoDataset, dataset_errors

mmdet = pytest.importorskip('mmdet.datasets')

CLASSES = ('cat', 'dog')
LOAD = [
    dict(type='mmdet.LoadAnnotations', with_bbox=True, with_mask=True)
]


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
def root(tmp_path):
    (tmp_path / 'img' / 'more').mkdir(parents=True)
    for image in content()['images']:
        Image.fromarray(np.zeros((6, 8, 3), np.uint8)).save(
            tmp_path / 'img' / image['file_name'])
    return tmp_path


def settings(root, file=None, **changes):
    """Settings of the data set; writes its file."""
    if file is not None:
        (root / 'boxes.json').write_text(
            file if isinstance(file, str) else json.dumps(file))
    return {
        # The host collects garbage, slowly, where it serialises.
        **dict(data_root=str(root), ann_file='boxes.json',
               data_prefix=dict(img='img/'), serialize_data=False,
               metainfo=dict(classes=CLASSES)), **changes
    }


def refused(match, root, file=None, error=ValueError, **changes):
    kwargs = settings(root, file, **changes)
    with pytest.raises(error, match=match):
        CheckedCocoDataset(**kwargs)


@pytest.mark.parametrize('changes', [
    dict(),
    dict(filter_cfg=dict(filter_empty_gt=True, min_size=4)),
    dict(serialize_data=True),
    dict(test_mode=True),
    dict(indices=1),
    dict(pipeline=LOAD),
])
def test_good_data_is_the_hosts(root, changes):
    kwargs = settings(root, content(), **changes)
    ours, host = CheckedCocoDataset(**kwargs), mmdet.CocoDataset(**kwargs)
    assert type(ours) is mmdet.CocoDataset
    assert len(ours) == len(host) > 0
    assert ours.metainfo == host.metainfo
    assert ours.serialize_data == host.serialize_data
    assert len(ours.data_list) == len(host.data_list)
    for i in range(len(host)):
        assert ours.get_data_info(i) == host.get_data_info(i)


def test_names_of_the_host_are_the_default(root):
    names = mmdet.CocoDataset.METAINFO['classes']
    file = content(
        categories=[dict(id=i, name=name) for i, name in enumerate(names)])
    data = CheckedCocoDataset(**settings(root, file, metainfo=None))
    assert data.metainfo['classes'] == names
    refused('77 of the 80 classes .*boxes.json": "person", .* and 72 more, .*'
            'set metainfo.classes .*"cat", "bird", "dog"', root, content(),
            metainfo=None)


def test_built_from_a_config(root):
    with DefaultScope.overwrite_default_scope('mmdet'):
        data = DATASETS.build(
            dict(type='ibot_mm.CheckedCocoDataset', pipeline=[
                dict(type='LoadAnnotations', with_bbox=True)],
                **settings(root, content())))
    assert data[0]['gt_bboxes_labels'].tolist() == [1, 0]


@pytest.mark.parametrize('changes,path,setting', [
    (dict(data_root='no/where'), 'no/where', 'data_root'),
    (dict(ann_file='no.json'), '.*/no.json', 'ann_file'),
    (dict(data_prefix=dict(img='no/')), '.*/no/', 'data_prefix.img'),
])
def test_missing_paths_are_named(root, changes, path, setting):
    refused(f'There is no .* "{path}"; change {setting} of', root, content(),
            FileNotFoundError, **changes)


def test_prefix_of_another_name(root):
    refused('data_prefix of the data set has no "img", only "img_path"; set',
            root, content(), data_prefix=dict(img_path='img/'))


@pytest.mark.parametrize('text,reason', [
    ('', 'is empty'),
    ('{"images": [', 'is not JSON .Expecting value: line 1'),
    ('\xff\xfe\x00', 'is not JSON'),
    ('[1]', 'holds a JSON list'),
    ('{"images": [], "data_list": 1}',
     'has no list "categories", only "images", "data_list"'),
    ('{"images": {}}', 'has no list "images"'),
])
def test_files_that_are_no_coco_annotations(root, text, reason):
    refused(f'/boxes.json" {reason}.*change ann_file', root, text)


@pytest.mark.parametrize('changes,reason', [
    (dict(images=[]), 'lists no images'),
    (dict(annotations=[]), 'lists no annotations'),
    (dict(annotations=[box(11), dict(id=12, image_id=1)]),
     ': entry 1 of "annotations" .id 12. has no "category_id", "bbox", "are'),
    (dict(images=['a.png']), ": entry 0 of \"images\" is 'a.png', not"),
    (dict(annotations=[box(11), box(12, category=8)]),
     r': annotation 12 has the category_id 8, .* ids: \[3, 5, 7\]'),
    (dict(annotations=[box(11, category='7')]),
     ": annotation 11 has the category_id '7', which"),
    (dict(annotations=[box(11, bbox=[1, 2, 3])]),
     r': annotation 11 has the bbox \[1, 2, 3\]; write \[x, y, width'),
    (dict(annotations=[box(11, bbox=[1, 2, 3, float('nan')])]),
     r': annotation 11 has the bbox \[1, 2, 3, nan\]'),
    (dict(annotations=[box(11), box(12, image=99)]),
     r': annotation 12 has the image_id 99, which no image .*the first ids: '
     r'\[1, 2, 3\]; correct'),
    (dict(annotations=[box(11, image='2')]),
     ": annotation 11 has the image_id '2', which no image of \"images\" has:"
     ' one has the id 2, so write both'),
    (dict(annotations=[box(11), box(12, image=[1])]),
     r': entry 1 of "annotations" has the image_id \[1\]; write an integer'),
    (dict(annotations=[box(11, category=None)]),
     ': entry 0 of "annotations" has the category_id None; write an integer'),
    (dict(categories=[dict(id=[7], name='dog')]),
     r': entry 0 of "categories" has the id \[7\]; write an integer'),
    (dict(annotations=[box(11, area='12')]),
     ": entry 0 of \"annotations\" .id 11. has the area '12'; write a number"),
    (dict(images=[dict(id=1, file_name='a.png', width=8, height=None)]),
     ': entry 0 of "images" .id 1. has the height None; write a number'),
    (dict(images=[dict(id=1, file_name='a.png', width='8', height=6)]),
     ": entry 0 of \"images\" .id 1. has the width '8'; write a number"),
    (dict(images=[dict(id=1, file_name=f'{name}.png', width=8, height=6)
                  for name in 'ab']),
     ': the images "a.png" and "b.png" have the same id 1; give'),
    (dict(annotations=[box(11), box(12, segmentation='1,1,5,1')]),
     ": annotation 12 has the segmentation '1,1,5,1'; write a list of"),
])
def test_wrong_entries_are_named(root, changes, reason):
    refused(f'/boxes.json"{"" if reason[0] == ":" else " "}{reason}', root,
            content(**changes))


def test_entries_that_are_right(root):
    images = [dict(image, id=str(image['id'])) for image in
              content()['images']]
    file = content(images=images, annotations=[
        box(11, image='1', area=12), box(12, image='1', segmentation=None),
        box(13, image='2', segmentation=dict(size=[6, 8], counts=[48]))])
    assert len(CheckedCocoDataset(**settings(root, file))) == 3


def test_file_without_a_list(root):
    file = content()
    del file['annotations']
    refused('/boxes.json" has no list "annotations", only "images"', root,
            file)


@pytest.mark.parametrize('changes', [
    dict(bbox=[20, 20, 4, 4]),
    dict(bbox=[1, 1, 0.5, 3]),
    dict(area=0),
    dict(ignore=1),
    dict(iscrowd=1),
    dict(category_id=5),
])
def test_no_usable_box(root, changes):
    file = content(annotations=[box(11, **changes)])
    refused('/boxes.json" has no usable box in its 3 images', root, file)
    # For validation there is nothing to learn.
    assert len(CheckedCocoDataset(**settings(root, test_mode=True))) == 3


@pytest.mark.parametrize('filter_cfg', [
    dict(min_size=7),
    dict(filter_empty_gt=True),
])
def test_filter_that_leaves_nothing(root, filter_cfg):
    file = content(annotations=[box(11, category=5)])
    words = str(filter_cfg).replace('{', '.').replace('}', '.')
    refused(f'filter_cfg={words} leaves no image of .*boxes.json"', root,
            file, filter_cfg=filter_cfg)


def test_prediction_needs_no_annotations(root):
    for file in (content(annotations=[]), content()):
        if file['annotations']:
            del file['annotations']
        data = CheckedCocoDataset(
            **settings(root, file, test_mode=True, pipeline=LOAD))
        assert len(data) == 3
        assert data.get_data_info(1)['instances'] == []


def test_classes_and_categories(root):
    refused('1 of the 3 classes .*boxes.json": "cow", .*set metainfo.classes '
            'of the data set .*: "cat", "bird", "dog"', root, content(),
            metainfo=dict(classes=('cat', 'dog', 'cow')))
    refused('categories "cat", "dog" in this order.* classes "dog", "cat"',
            root, metainfo=dict(classes=('dog', 'cat')))
    refused('is the text "dog"; write .*\'dog\', ', root,
            metainfo=dict(classes='dog'))
    twice = content(categories=[dict(id=i, name='cat') for i in (3, 7)])
    refused('categories "cat", "cat" in this order.* classes "cat"', root,
            twice, metainfo=dict(classes=('cat', )))


def test_missing_images_are_named_and_counted(root):
    (root / 'img' / 'a.png').unlink()
    refused('1 of the 3 images of ".*/boxes.json" are missing, the first: '
            '".*/img/a.png"; change data_prefix.img', root, content(),
            FileNotFoundError)
    (root / 'img' / 'more' / 'b.png').unlink()
    (root / 'img' / 'more').rmdir()
    refused('2 of the 3 .*img/a.png", ".*img/more/b.png"; ', root, content(),
            FileNotFoundError)


def test_images_that_the_filter_drops_need_not_be_there(root):
    (root / 'img' / 'c.png').unlink()
    data = CheckedCocoDataset(**settings(
        root, content(), filter_cfg=dict(filter_empty_gt=True)))
    assert len(data) == 2


def test_looks_at_folders_not_at_files(root, monkeypatch):
    listed = []
    monkeypatch.setattr(dataset_errors.os, 'listdir', lambda path: listed.
                        append(path) or [e.name for e in os.scandir(path)])
    monkeypatch.setattr(dataset_errors.os.path, 'isfile', None)
    CheckedCocoDataset(**settings(root, content(), test_mode=True))
    assert listed == [str(root / 'img'), str(root / 'img/more')]


def test_other_storage_is_left_to_the_host(root):
    """Only the content of the file is checked."""
    remote = dict(backend_args=dict(backend='local'),
                  data_prefix=dict(img='nowhere/'))
    assert len(CheckedCocoDataset(**settings(root, content(), **remote))) == 3
    refused('lists no images', root, content(images=[]), **remote)


def test_masks_that_the_pipeline_loads(root):
    file = content(annotations=[box(11), box(13, image=2, segmentation=[])])
    for test_mode in (False, True):
        refused('/boxes.json" has a box without "segmentation" in the image '
                '".*/img/more/b.png", .*set with_mask=False', root, file,
                pipeline=LOAD, test_mode=test_mode)
    boxes = [dict(type='mmdet.LoadAnnotations', with_bbox=True)]
    assert len(CheckedCocoDataset(**settings(root, pipeline=boxes))) == 3


def test_class_names_alone_need_no_files(tmp_path):
    data = CheckedCocoDataset(**settings(tmp_path / 'no', lazy_init=True))
    assert data.metainfo['classes'] == CLASSES
    assert not data._fully_initialized
