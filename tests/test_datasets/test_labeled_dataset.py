"""Labels from folders and lists, subsets, and invalid input."""

import os
from pathlib import Path

import numpy as np
import pytest
from mmengine.dataset import pseudo_collate
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain.datasets import CustomDataset
from PIL import Image
from torch.utils.data import DataLoader

from ibot_mm.datasets import LabeledDataset

LOAD = [dict(type='ibot_mm.LoadImage')]
PICTURE = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)


def add_images(root, *paths):
    for path in paths:
        path = root / path
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(PICTURE).save(path, format='PNG')


@pytest.fixture()
def root(tmp_path):
    """Training folder of three classes; validation folder without one."""
    folder = tmp_path / 'data'
    add_images(folder, *(f'train/{name}/{name}_{i}.png'
                         for name in ('ant', 'bee', 'cow') for i in range(3)))
    add_images(folder, 'val/cow/v0.png', 'val/ant/v1.png')
    return folder


def dataset(root, prefix='train', **kwargs):
    return LabeledDataset(data_root=str(root), data_prefix=prefix, **kwargs)


def labels(data):
    """Label by file name."""
    infos = [data.get_data_info(i) for i in range(len(data))]
    return {Path(info['img_path']).name: info['gt_label'] for info in infos}


def listing(folder, text, name='list.txt'):
    path = folder / name
    path.write_text(text)
    return str(path)


def test_labels_are_ranks_of_folders(root):
    data = dataset(root)
    assert data.metainfo['classes'] == ('ant', 'bee', 'cow')
    assert labels(data) == {
        f'{name}_{i}.png': label
        for label, name in enumerate(('ant', 'bee', 'cow')) for i in range(3)
    }


def test_folders_are_listed_as_by_mmpretrain(root):
    add_images(root, 'train/bee/deep/deeper/x.JPEG', 'train/bee/B.PNG',
               'train/bee/.hidden.png')
    (root / 'train/bee/notes.txt').write_text('no image')
    ours, theirs = (
        kind(data_root=str(root), data_prefix='train', with_label=True)
        for kind in (LabeledDataset, CustomDataset))
    assert len(ours) == len(theirs) == 11
    assert ours.metainfo == theirs.metainfo
    for i in range(11):
        assert ours.get_data_info(i) == theirs.get_data_info(i)


def test_missing_class_does_not_shift_labels(root):
    data = dataset(root, 'val', classes_prefix='train')
    assert labels(data) == {'v0.png': 2, 'v1.png': 0}
    assert data.metainfo['classes'] == ('ant', 'bee', 'cow')
    (root / 'val' / 'bee').mkdir()
    data = dataset(root, 'val', classes_prefix=str(root / 'train'))
    assert labels(data) == {'v0.png': 2, 'v1.png': 0}


def test_hidden_folders_are_no_classes(root):
    (root / 'train' / '.ipynb_checkpoints').mkdir()
    (root / 'val' / '.ipynb_checkpoints').mkdir()
    assert labels(dataset(root))['ant_0.png'] == 0
    data = dataset(root, 'val', classes_prefix='train')
    assert len(data.metainfo['classes']) == 3


def test_folder_that_is_no_class_is_named(root):
    add_images(root, 'val/dog/d.png')
    with pytest.raises(ValueError, match='"dog".*classes_prefix'):
        dataset(root, 'val', classes_prefix='train')


def test_empty_classes_are_named(root):
    (root / 'train' / 'dog').mkdir()
    # Also if the folder only defines the classes.
    for kwargs in (dict(), dict(classes_prefix='train'),
                   dict(prefix='val', classes_prefix='train')):
        with pytest.raises(ValueError, match='/train".*"dog"'):
            dataset(root, **kwargs)
    for i in range(6):
        (root / 'train' / f'e{i}').mkdir()
    with pytest.raises(ValueError, match='"e3" and 2 more'):
        dataset(root)


def test_class_names_of_the_config_are_kept_and_counted(root):
    names = ('Formica', 'Apis', 'Bos')
    data = dataset(root, metainfo=dict(classes=names))
    assert data.metainfo['classes'] == names
    with pytest.raises(ValueError, match='LabeledDataset.* 2 .* 3 '):
        dataset(root, classes=names[:2])


@pytest.mark.parametrize('change,path,setting', [
    (dict(data_root='nowhere'), 'nowhere', 'data_root'),
    (dict(data_prefix='no/train'), 'data/no/train', 'data_prefix'),
    (dict(data_prefix='/no/train'), '/no/train', 'data_prefix'),
    (dict(data_root='no', data_prefix='/no/train'), '/no/train',
     'data_prefix'),
    (dict(classes_prefix='no'), 'data/no', 'classes_prefix'),
    (dict(ann_file='no.txt'), 'data/no.txt', 'ann_file'),
    (dict(subset='no/1percent.txt'), 'no/1percent.txt', 'subset'),
])
def test_missing_paths_are_named(root, monkeypatch, change, path, setting):
    monkeypatch.chdir(root.parent)
    settings = dict(data_root='data', data_prefix='train')
    with pytest.raises(FileNotFoundError,
                       match=f'"{path}".*{setting}'):
        LabeledDataset(**{**settings, **change})


def test_images_without_class_folders(root):
    add_images(root, 'flat/a.png', 'flat/b.png')
    for kwargs in (dict(), dict(classes_prefix='train')):
        with pytest.raises(ValueError, match='flat" .* 2 .*ann_file'):
            dataset(root, 'flat', **kwargs)
    (root / 'hollow' / 'ant').mkdir(parents=True)
    with pytest.raises(ValueError, match='hollow".*data_prefix'):
        dataset(root, 'hollow', classes_prefix='train')


def test_list_file(root):
    add_images(root, 'flat/a b.png', 'flat/c.png')
    listing(root, 'c.png 7\n\na b.png\t0\n')
    data = dataset(root, 'flat', ann_file='list.txt', pipeline=LOAD)
    assert labels(data) == {'c.png': 7, 'a b.png': 0}
    assert 'classes' not in data.metainfo
    assert np.array_equal(data[1]['img'], PICTURE[..., ::-1])


@pytest.mark.parametrize('line,wrong', [
    ('c.png one', "'one'"),
    ('c.png 1.0', "'1.0'"),
    ('c.png -1', '-1'),
    ('c.png', "'c.png'"),
])
def test_wrong_lines_are_numbered(root, line, wrong):
    path = listing(root, f'a.png 0\n\n{line}\nb.png 1\n')
    with pytest.raises(ValueError, match=f'{path}, line 3: .*{wrong}'):
        dataset(root, ann_file='list.txt')


def test_list_file_with_classes(root):
    path = listing(root, 'ant/ant_0.png 2\nant/ant_1.png 3\n')
    for kwargs in (dict(classes_prefix='train'), dict(classes=list('abc'))):
        with pytest.raises(ValueError, match=f'{path}, line 2: .* 3 .* 3 '):
            dataset(root, ann_file=path, **kwargs)
    path = listing(root, 'ant/ant_0.png 2\n')
    data = dataset(root, ann_file=path, classes_prefix='train')
    assert labels(data) == {'ant_0.png': 2}
    assert data.metainfo['classes'] == ('ant', 'bee', 'cow')


def test_empty_list_file(root):
    listing(root, '\n')
    with pytest.raises(ValueError, match='list.txt.*ann_file'):
        dataset(root, ann_file='list.txt')


def test_subset_with_and_without_folders(root, tmp_path, monkeypatch):
    add_images(root, 'train/bee/deep/far.png')
    names = ('cow_2.png\nant/ant_1.png\ncow_2.png\ncow/cow_2.png\n\n'
             'bee/deep/far.png\n')
    kept = {'ant_1.png': 0, 'far.png': 1, 'cow_2.png': 2}
    path = listing(tmp_path, names, '1percent.txt')
    data = dataset(root, subset=path)
    assert len(data) == 3
    assert labels(data) == kept
    assert data.metainfo['classes'] == ('ant', 'bee', 'cow')
    # Relative to the working directory, not to the data.
    monkeypatch.chdir(tmp_path)
    assert labels(dataset(root, subset='1percent.txt')) == kept


def test_subset_of_a_list_file(root, tmp_path):
    listing(root, 'ant/ant_0.png 5\nbee/bee_0.png 6\n')
    data = dataset(root, ann_file='list.txt',
                   subset=listing(tmp_path, 'bee_0.png\n', 'few.txt'))
    assert labels(data) == {'bee_0.png': 6}


def test_subset_names_that_are_missing(root, tmp_path):
    missing = ''.join(f'gone_{i}.png\n' for i in range(4))
    path = listing(tmp_path, 'ant_0.png\n' + missing)
    with pytest.raises(ValueError, match=f'4 of the 5 .*{path} .*'
                       '"gone_0.png", "gone_1.png", "gone_2.png" ?[^,"]*;'):
        dataset(root, subset=path)


def test_empty_subset(root, tmp_path):
    path = listing(tmp_path, ' \n')
    with pytest.raises(ValueError, match=f'{path}.*subset'):
        dataset(root, subset=path)


def test_subset_name_of_two_images(root, tmp_path):
    add_images(root, 'train/ant/0.png', 'train/cow/0.png')
    with pytest.raises(ValueError,
                       match='"0.png".* 2 .*"ant/0.png", "cow/0.png"'):
        dataset(root, subset=listing(tmp_path, '0.png\n'))
    data = dataset(root, subset=listing(tmp_path, 'cow/0.png\n'))
    assert labels(data) == {'0.png': 2}


@pytest.mark.parametrize('classes_prefix', [None, 'train'])
def test_listing_looks_at_folders_only(root, monkeypatch, classes_prefix):
    calls = dict(scandir=[], stat=[])

    def counted(name):
        function = getattr(os, name)

        def wrapper(path='.', *args, **kwargs):
            calls[name].append(str(path))
            return function(path, *args, **kwargs)

        return wrapper

    for name in calls:
        monkeypatch.setattr(os, name, counted(name))
    dataset(root, classes_prefix=classes_prefix)
    folder = str(root / 'train')
    assert sorted(calls['scandir']) == [folder] + [
        f'{folder}/{name}' for name in ('ant', 'bee', 'cow')
    ]
    assert not [path for path in calls['stat'] if path.endswith('.png')]


@pytest.mark.parametrize('test_mode', [False, True])
def test_unreadable_image_is_named(root, test_mode):
    bad = root / 'train' / 'ant' / 'ant_1.png'
    bad.write_bytes(bad.read_bytes()[:50])
    gone = root / 'train' / 'cow' / 'cow_2.png'
    data = dataset(root, pipeline=LOAD, test_mode=test_mode)
    gone.unlink()
    assert data[0]['img'].shape == (6, 8, 3)
    with pytest.raises(ValueError, match=f'"{bad}"'):
        data[1]
    with pytest.raises(ValueError, match=f'"{gone}"'):
        data[-1]
    # So does the message of a DataLoader worker.
    batches = iter(
        DataLoader(
            data, num_workers=1, sampler=[1], collate_fn=pseudo_collate))
    with pytest.raises(ValueError, match=f'"{bad}"'):
        next(batches)
    assert next(batches, None) is None


def test_built_from_a_config(root):
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        data = DATASETS.build(
            dict(
                type='ibot_mm.LabeledDataset',
                data_root=str(root),
                data_prefix='val',
                classes_prefix='train',
                test_mode=True,
                pipeline=[*LOAD, dict(type='PackInputs')]))
    sample = data[1]
    assert sample['data_samples'].gt_label.tolist() == [2]
    assert np.array_equal(sample['inputs'].permute(1, 2, 0),
                          PICTURE[..., ::-1])
