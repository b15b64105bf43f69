"""MMPretrain's data sets for transfer with this package's pipelines.

Small folders in the format of the real ones: CIFAR's pickles, MAT files of
Flowers and Cars written by SciPy, single-color pictures.
"""

import hashlib
import pickle

import numpy as np
import pytest
import scipy.io
import torch
from mmengine.registry import DATASETS, DefaultScope
from mmpretrain import datasets
from PIL import Image

TRAIN = [
    dict(
        type='RandomResizedCrop',
        scale=32,
        backend='pillow',
        interpolation='bicubic'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandAugment',
        policies='timm_increasing',
        num_policies=2,
        total_level=10,
        magnitude_level=9,
        magnitude_std=0.5,
        hparams=dict(pad_val=[104, 116, 124], interpolation='bicubic')),
    dict(
        type='RandomErasing',
        erase_prob=0.25,
        mode='rand',
        min_area_ratio=0.02,
        max_area_ratio=1 / 3,
        fill_color=[103.53, 116.28, 123.675],
        fill_std=[57.375, 57.12, 58.395]),
    dict(type='PackInputs'),
]
TEST = [
    dict(
        type='ResizeEdge',
        scale=36,
        edge='short',
        backend='pillow',
        interpolation='bicubic'),
    dict(type='CenterCrop', crop_size=32),
    dict(type='PackInputs'),
]
READ = [dict(type='ibot_mm.LoadImage')]
# Red, green and blue of the n-th picture.
COLORS = [(10 * n, 200 - 10 * n, 90) for n in range(1, 9)]


def add_pictures(folder):
    folder.mkdir(parents=True)
    for i, color in enumerate(COLORS):
        for name in (f'{i + 1:05d}', f'image_{i + 1:05d}'):
            Image.new('RGB', (50, 40), color).save(
                folder / f'{name}.jpg', quality=100, subsampling=0)


def struct_array(**fields):
    """A 1 x N array of MATLAB's structs, with numbers as 1 x 1 bytes."""
    size = len(next(iter(fields.values())))
    array = np.zeros((1, size), [(name, object) for name in fields])
    for name, values in fields.items():
        for i, value in enumerate(values):
            number = not isinstance(value, str)
            array[name][0, i] = np.uint8([[value]]) if number else value
    return dict(annotations=array)


def write_cifar(root, monkeypatch, kind, key):
    """Write pickles of one picture each and patch MMPretrain's checksums."""
    folder = root / kind.base_folder
    folder.mkdir()
    number = 0
    for split in ('train_list', 'test_list'):
        files = []
        for name, _ in getattr(kind, split):
            planes = np.repeat(np.uint8(COLORS[number]), 32 * 32)[None]
            data = pickle.dumps({'data': planes, key: [number + 3]}, 2)
            (folder / name).write_bytes(data)
            files.append([name, hashlib.md5(data).hexdigest()])
            number += 1
        monkeypatch.setattr(kind, split, files)


def cifar10(root, monkeypatch):
    write_cifar(root, monkeypatch, datasets.CIFAR10, 'labels')
    return dict(
        train=[(COLORS[i], i + 3) for i in range(5)],
        test=[(COLORS[5], 8)])


def cifar100(root, monkeypatch):
    write_cifar(root, monkeypatch, datasets.CIFAR100, 'fine_labels')
    return dict(train=[(COLORS[0], 3)], test=[(COLORS[1], 4)])


def flowers(root, monkeypatch):
    add_pictures(root / 'jpg')
    # Classes and pictures are numbered from 1 in these files.
    scipy.io.savemat(root / 'imagelabels.mat',
                     dict(labels=np.uint8([[102, 1, 7, 3, 9, 9, 2, 5]])))
    splits = dict(trnid=[[4, 1]], valid=[[2, 8]], tstid=[[3, 5, 7]])
    scipy.io.savemat(root / 'setid.mat',
                     {key: np.uint16(ids) for key, ids in splits.items()})
    return dict(
        train=[(COLORS[3], 2), (COLORS[0], 101)],
        val=[(COLORS[1], 0), (COLORS[7], 4)],
        trainval=[(COLORS[3], 2), (COLORS[0], 101), (COLORS[1], 0),
                  (COLORS[7], 4)],
        test=[(COLORS[2], 6), (COLORS[4], 8), (COLORS[6], 1)])


def cars(root, monkeypatch):
    """Separate folders, with the test labels that were released later."""
    (root / 'devkit').mkdir()
    for split, labels, name in (('train', [196, 1, 3],
                                 'cars_train_annos.mat'),
                                ('test', [2, 196],
                                 'cars_test_annos_withlabels.mat')):
        add_pictures(root / f'cars_{split}')
        boxes = {f'bbox_{side}': [1] * len(labels)
                 for side in ('x1', 'y1', 'x2', 'y2')}
        names = [f'{i + 1:05d}.jpg' for i in range(len(labels))]
        scipy.io.savemat(
            root / 'devkit' / name,
            struct_array(**boxes, **{'class': labels}, fname=names),
            do_compression=True)
    return dict(
        train=[(COLORS[0], 195), (COLORS[1], 0), (COLORS[2], 2)],
        test=[(COLORS[0], 1), (COLORS[1], 195)])


def cars_in_one_folder(root, monkeypatch):
    add_pictures(root / 'car_ims')
    scipy.io.savemat(
        root / 'cars_annos.mat',
        struct_array(
            relative_im_path=[f'car_ims/{i:05d}.jpg' for i in range(1, 5)],
            **{'class': [1, 50, 196, 2]},
            test=[0, 1, 0, 1]))
    return dict(
        train=[(COLORS[0], 0), (COLORS[2], 195)],
        test=[(COLORS[1], 49), (COLORS[3], 1)])


KINDS = [
    ('CIFAR10', cifar10, 'train test'),
    ('CIFAR100', cifar100, 'train test'),
    ('Flowers102', flowers, 'train val trainval test'),
    ('StanfordCars', cars, 'train test'),
    ('StanfordCars', cars_in_one_folder, 'train test'),
]
CASES = [
    pytest.param(name, make, split, id=f'{make.__name__}-{split}')
    for name, make, splits in KINDS for split in splits.split()
]


def build(name, root, split, steps):
    settings = dict(type=name, data_root=str(root), split=split)
    if 'CIFAR' in name:
        settings.update(download=False)
    else:
        steps = READ + steps
    with DefaultScope.overwrite_default_scope('mmpretrain'):
        return DATASETS.build(dict(**settings, pipeline=steps))


@pytest.mark.parametrize('name,make,split', CASES)
def test_pictures_keep_their_labels(tmp_path, monkeypatch, name, make, split):
    expected = make(tmp_path, monkeypatch)[split]
    data = build(name, tmp_path, split, TEST)
    assert len(data) == len(expected)
    for sample, (color, label) in zip(data, expected):
        assert sample['data_samples'].gt_label.tolist() == [label]
        assert sample['inputs'].dtype == torch.uint8
        assert sample['inputs'].shape == (3, 32, 32)
        # Pictures from files are BGR, those of CIFAR stay RGB.
        order = color if 'CIFAR' in name else color[::-1]
        np.testing.assert_allclose(
            sample['inputs'].flatten(1).T.double(),
            np.broadcast_to(order, (32 * 32, 3)),
            atol=2)


@pytest.mark.parametrize('name,make,split', CASES)
def test_augmented_pictures(tmp_path, monkeypatch, name, make, split):
    _, label = make(tmp_path, monkeypatch)[split][0]
    data = build(name, tmp_path, split, TRAIN)
    np.random.seed(0)
    # Enough draws for all of RandAugment's policies.
    samples = [data[0] for _ in range(40)]
    for sample in samples:
        assert sample['inputs'].shape == (3, 32, 32)
        assert sample['inputs'].dtype == torch.uint8
        assert sample['data_samples'].gt_label.tolist() == [label]
    # In some samples a part is replaced with noise.
    noisy = [len(torch.unique(s['inputs'])) > 60 for s in samples]
    assert 0 < sum(noisy) < 30


@pytest.mark.parametrize('name,where', [
    ('CIFAR10', '(?s)CIFAR10 .*nowhere'),
    ('CIFAR100', '(?s)CIFAR100 .*nowhere'),
    ('Flowers102', 'nowhere/imagelabels.mat'),
    ('StanfordCars', None),
])
def test_missing_data_are_reported(tmp_path, name, where):
    with pytest.raises((RuntimeError, FileNotFoundError), match=where):
        build(name, tmp_path / 'nowhere', 'train', [])


def test_damaged_cifar_raises(tmp_path, monkeypatch):
    cifar10(tmp_path, monkeypatch)
    path = tmp_path / 'cifar-10-batches-py' / 'data_batch_3'
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RuntimeError, match='CIFAR10'):
        build('CIFAR10', tmp_path, 'test', [])
