"""Bad segmentation data is named; good data is the host's own."""

import logging

import numpy as np
import pytest
from mmengine.registry import DATASETS, DefaultScope
from PIL import Image
from torch.utils.data import DataLoader

from ibot_mm.datasets import (
    CheckedSegDataset,
    CheckSegLabels,
    checked_segmentation,
)

mmseg = pytest.importorskip('mmseg.datasets')

LOAD = [
    dict(type='LoadImageFromFile'),
    dict(type='mmseg.LoadAnnotations'),
    dict(type='mmseg.RandomFlip', prob=0.),
]
# Raw values of ADE20K: 0 is ignored, 1 to 150 are the classes.
MAP = np.array([[0, 1, 150], [150, 7, 255]], np.uint8)


def write(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(values, np.uint8)).save(path)


@pytest.fixture()
def root(tmp_path):
    for name in ('a', 'more/b', 'c'):
        write(tmp_path / 'img' / f'{name}.jpg', np.zeros((2, 3, 3)))
        write(tmp_path / 'ann' / f'{name}.png', MAP)
    return tmp_path


def settings(root, **changes):
    return {
        # The host collects garbage, slowly, where it serialises.
        **dict(data_root=str(root), pipeline=LOAD, serialize_data=False,
               data_prefix=dict(img_path='img', seg_map_path='ann')),
        **changes
    }


def own(root, count=3, **changes):
    """Settings of a user's own data set with all values from 0."""
    return settings(root, dataset_type='BaseSegDataset',
                    metainfo=dict(classes=[f'k{i}' for i in range(count)]),
                    **changes)


def refused(match, kwargs, error=ValueError):
    with pytest.raises(error, match=match):
        CheckedSegDataset(**kwargs)


@pytest.mark.parametrize('changes', [
    dict(),
    dict(serialize_data=True, indices=2),
    dict(test_mode=True),
    dict(metainfo=dict(classes=('wall', 'bed '))),
    dict(img_suffix='.jpg'),
])
def test_good_data_is_the_hosts(root, changes):
    kwargs = settings(root, **changes)
    ours, host = CheckedSegDataset(**kwargs), mmseg.ADE20KDataset(**kwargs)
    assert type(ours) is mmseg.ADE20KDataset
    assert len(ours) == len(host) == changes.get('indices', 3)
    assert ours.metainfo == host.metainfo
    for i in range(len(host)):
        assert ours.get_data_info(i) == host.get_data_info(i)
        assert np.array_equal(ours[i]['gt_seg_map'], host[i]['gt_seg_map'])
    check = ours.pipeline.transforms.pop(2)
    assert isinstance(check, CheckSegLabels)
    assert check.num_classes == len(host.metainfo['classes'])
    assert [type(t) for t in ours.pipeline.transforms
            ] == [type(t) for t in host.pipeline.transforms]


def test_own_data_without_a_label_for_none(root):
    for name in ('a', 'more/b', 'c'):
        write(root / 'ann' / f'{name}.png', [[0, 1, 2], [2, 1, 255]])
    data = CheckedSegDataset(**own(root))
    assert type(data) is mmseg.BaseSegDataset
    assert data[0]['gt_seg_map'].tolist() == [[0, 1, 2], [2, 1, 255]]


def test_built_from_a_config(root):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(
            dict(type='ibot_mm.CheckedSegDataset', **settings(root)))
    assert isinstance(data, mmseg.ADE20KDataset)
    with DefaultScope.overwrite_default_scope('mmseg'):
        plain = [dict(type=cfg['type'].split('.')[-1]) for cfg in LOAD[:2]]
        data = DATASETS.build(dict(type='ibot_mm.CheckedSegDataset',
                                   **settings(root, pipeline=plain)))
    assert data[0]['gt_seg_map'].tolist() == [[255, 0, 149], [149, 6, 255]]


@pytest.mark.parametrize('changes,path,setting', [
    (dict(data_root='no/where'), 'no/where', 'data_root'),
    (dict(data_prefix=dict(img_path='no', seg_map_path='ann')), '.*/no',
     'data_prefix.img_path'),
    (dict(data_prefix=dict(img_path='img', seg_map_path='no')), '.*/no',
     'data_prefix.seg_map_path'),
    (dict(ann_file='no.txt'), '.*/no.txt', 'ann_file'),
])
def test_missing_paths_are_named(root, changes, path, setting):
    refused(f'There is no .* "{path}"; change {setting} of',
            settings(root, **changes), FileNotFoundError)


def test_folders_that_are_not_set(root):
    prefix = dict(img_path='img')
    refused('data_prefix .*no "seg_map_path", only "img_path"; set data_prefi',
            settings(root, data_prefix=prefix))
    refused('data_prefix .*no "img_path", only "img"; set data_prefix.img_',
            settings(root, data_prefix=dict(img='img')))


def test_no_image_is_found(root):
    refused('/img" leads to no image that ends in ".tif"; change data_prefix',
            settings(root, img_suffix='.tif'))
    (root / 'list.txt').write_text('')
    refused('/list.txt" leads to no image', settings(root,
                                                     ann_file='list.txt'))


def test_missing_images_of_a_list(root):
    (root / 'list.txt').write_text('a\nmore/b\nmore/x\n')
    refused('1 of the 3 images are missing, the first: ".*/img/more/x.jpg"; '
            'change ann_file, data_prefix.img_path or img_suffix of',
            settings(root, ann_file='list.txt'), FileNotFoundError)


def test_missing_label_maps(root):
    refused('3 of the 3 label maps are missing, the first: ".*/ann/a.tif", ',
            settings(root, seg_map_suffix='.tif'), FileNotFoundError)
    (root / 'ann' / 'more' / 'b.png').unlink()
    for pipeline in (LOAD, []):
        refused('1 of the 3 label maps .*".*/ann/more/b.png"; change '
                'data_prefix.seg_map_path or seg_map_suffix of the data set',
                settings(root, pipeline=pipeline), FileNotFoundError)


def test_prediction_needs_no_label_maps(root):
    """Neither where a config inherits a folder that has none."""
    for prefix in (dict(img_path='img', seg_map_path='no'),
                   dict(img_path='img')):
        data = CheckedSegDataset(**settings(
            root, pipeline=LOAD[:1], test_mode=True, data_prefix=prefix))
        assert len(data) == 3
        assert len(data.pipeline.transforms) == 1


def test_nothing_is_inserted_for_test_time_augmentation(root):
    pipeline = [LOAD[0], dict(type='TestTimeAug', transforms=[
        [dict(type='mmseg.RandomFlip', prob=p) for p in (0., 1.)],
        [LOAD[1]]])]
    with DefaultScope.overwrite_default_scope('mmseg'):
        data = CheckedSegDataset(**settings(
            root, pipeline=pipeline, test_mode=True))
    assert len(data.pipeline.transforms) == 2
    assert len(data[0]['gt_seg_map']) == 2


@pytest.mark.parametrize('values,words', [
    ([[0, 1, 151]], 'value 151, but 150 classes are numbered 1 to 150, and 0 '
     'or 255 is ignored'),
    ([[180, 190, 200, 210, 220, 230]],
     'value 180, 190, 200, 210, 220 and 1 more, but'),
])
def test_wrong_labels_of_ade20k(root, values, words):
    write(root / 'ann' / 'more' / 'b.png', values)
    refused(f'/ann/more/b.png" has pixels of {words}', settings(root))


def test_wrong_labels_of_own_data(root):
    refused('/ann/a.png" has pixels of value 7, 150, but 3 classes are '
            'numbered 0 to 2, and 255 is ignored; correct the file, or change '
            'metainfo.classes or reduce_zero_label', own(root))
    # With 0 taken for none, the class after the last is 4.
    write(root / 'ann' / 'a.png', [[0, 1, 3, 4]])
    refused('value 4, but 3 classes are numbered 1 to 3, and 0 or 255 is',
            own(root, reduce_zero_label=True))


def test_wrong_labels_where_classes_are_left_out(root):
    write(root / 'ann' / 'a.png', [[0, 1, 150, 200]])
    refused('value 200, but 150 classes are numbered 1 to 150',
            settings(root, metainfo=dict(classes=('wall', 'bed '))))


def test_coloured_label_maps(root):
    write(root / 'ann' / 'a.png', np.zeros((2, 3, 3)))
    refused(r'/ann/a.png" is no label map but an image of the shape \(2, 3, '
            r'3\); write the number', settings(root))


def test_label_maps_that_cannot_be_read(root):
    (root / 'ann' / 'a.png').write_bytes(b'no image')
    refused('/ann/a.png" cannot be read as a label map .cannot ident.*; repl',
            settings(root))


def test_settings_that_contradict(root):
    pipeline = [LOAD[0], dict(LOAD[1], reduce_zero_label=True)]
    assert len(CheckedSegDataset(**settings(root, pipeline=pipeline))) == 3
    refused('reduce_zero_label is True in LoadAnnotations and False in the da',
            own(root, pipeline=pipeline))
    refused('no class names; set metainfo.classes',
            {**own(root), 'metainfo': None})
    refused('is the text "wall"; write', {**own(root),
                                          'metainfo': dict(classes='wall')})
    refused('there is no data set "ADE"; change dataset_type',
            settings(root, dataset_type='ADE'))


@pytest.mark.parametrize('test_mode', [False, True])
def test_labels_are_checked_as_they_are_loaded(root, monkeypatch, test_mode):
    """The fourth of five is not among the three that are read before."""
    for name in 'de':
        write(root / 'img' / f'{name}.jpg', np.zeros((2, 3, 3)))
        write(root / 'ann' / f'{name}.png', MAP)
    write(root / 'ann' / 'e.png', MAP + 160 * (MAP == 7))
    monkeypatch.setattr(checked_segmentation, 'NUM_READ', 3)
    data = CheckedSegDataset(**settings(root, test_mode=test_mode))
    assert data[0]['gt_seg_map'].tolist() == [[255, 0, 149], [149, 6, 255]]
    wrong = '/ann/e.png" has pixels of value 167, but'
    with pytest.raises(ValueError, match=wrong):
        data[3]
    # The message of a worker holds it too.
    batches = iter(
        DataLoader(data, num_workers=1, sampler=[3], collate_fn=len))
    with pytest.raises(ValueError, match=wrong):
        next(batches)
    assert next(batches, None) is None


def test_label_maps_of_another_size(root):
    write(root / 'ann' / 'a.png', MAP.T)
    # Images are not read before the start.
    data = CheckedSegDataset(**settings(root))
    with pytest.raises(ValueError, match='/ann/a.png" has a height x width of '
                       '3 x 2, but its image of 2 x 3; replace'):
        data[0]
    assert data[1]['gt_seg_map'].shape == (2, 3)


def test_sizes_behind_a_resize_and_of_one_pixel(root):
    resized = [LOAD[0], dict(type='mmseg.Resize', scale=(6, 4)), LOAD[1]]
    data = CheckedSegDataset(**settings(root, pipeline=resized))
    assert data[0]['img'].shape == (4, 6, 3)
    check = CheckSegLabels(num_classes=3)
    sample = dict(gt_seg_map=np.zeros(5, np.uint8), seg_map_path='x.png',
                  ori_shape=(1, 5))
    assert check(sample) is sample
    with pytest.raises(ValueError, match='of 5, but its image of 2 x 5'):
        check(dict(sample, ori_shape=(2, 5)))


def test_label_maps_without_an_image(root, monkeypatch):
    logged = []
    monkeypatch.setattr(checked_segmentation, 'print_log',
                        lambda *args: logged.append(args))
    assert len(CheckedSegDataset(**settings(root))) == 3
    assert not logged
    (root / 'img' / 'a.jpg').unlink()
    (root / 'img' / 'more' / 'b.jpg').unlink()
    (root / 'ann' / '._a.png').write_bytes(b'')
    (root / 'ann' / 'a.txt').write_bytes(b'')
    assert len(CheckedSegDataset(**settings(root))) == 1
    (message, logger, level), = logged
    assert (logger, level) == ('current', logging.WARNING)
    assert message.startswith('2 of the 3 label maps have no image among the '
                              f'1 of "{root}/img" and are left out, the first'
                              f': "{root}/ann/a.png", "{root}/ann/more/b.png"')
    # Where images are chosen, or not trained on, the others are not missed.
    (root / 'list.txt').write_text('c\n')
    for changes in (dict(ann_file='list.txt'), dict(test_mode=True),
                    dict(indices=1)):
        assert len(CheckedSegDataset(**settings(root, **changes))) == 1
    assert len(logged) == 1


def test_other_label_for_none():
    check = CheckSegLabels(num_classes=3, ignore_index=9)
    sample = dict(gt_seg_map=np.array([[0, 2, 9]], np.uint8),
                  seg_map_path='x.png')
    assert check(sample) is sample
    sample['gt_seg_map'][0, 0] = 255
    with pytest.raises(ValueError, match='"x.png" .* value 255, .* and 9 is'):
        check(sample)


def test_class_names_alone_need_no_files(tmp_path):
    data = CheckedSegDataset(**settings(tmp_path / 'no', lazy_init=True))
    assert len(data.metainfo['classes']) == 150
    assert not data._fully_initialized
