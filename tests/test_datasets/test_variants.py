"""Variants of a test set, with the class numbers of a classifier."""

import pytest
import torch
from PIL import Image

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.datasets import VariantDataset

PIPELINE = [dict(type='ibot_mm.LoadImage'),
            dict(type='mmpretrain.PackInputs')]


def add_images(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (8, 6)).save(root / path, format='PNG')


@pytest.fixture
def data(tmp_path):
    """Two corruptions of some classes of four; their training folders."""
    add_images(tmp_path, *(f'train/{name}/0.png' for name in
                           ('ant', 'bee', 'cow', 'dog')))
    add_images(tmp_path / 'test', 'fog/1/dog/a.png', 'fog/1/bee/b.png',
               'fog/2/bee/b.png', 'snow/1/dog/a.png')
    return tmp_path


def dataset(data, variants=('fog/1', 'fog/2', 'snow/1'), **settings):
    return VariantDataset(str(data / 'test'), variants, pipeline=PIPELINE,
                          **settings)


def rows(dataset):
    """Variant, file and label of each sample."""
    samples = [sample['data_samples'] for sample in dataset]
    return [(s.variant, s.img_path.rpartition('/')[2], int(s.gt_label))
            for s in samples]


def test_labels_are_those_of_the_classifier(data):
    names = data / 'names.txt'
    names.write_text('dog\ncow\nant\nbee\n')
    checkpoint = data / 'classifier.pth'
    torch.save(dict(state_dict={}, meta=dict(dataset_meta=dict(
        classes=('bee', 'dog')))), checkpoint)
    for source, bee, dog in ((data / 'train', 1, 3), (names, 3, 0),
                             (checkpoint, 0, 1)):
        found = dataset(data, classes_from=str(source))
        assert rows(found) == [
            ('fog/1', 'b.png', bee), ('fog/1', 'a.png', dog),
            ('fog/2', 'b.png', bee), ('snow/1', 'a.png', dog)]
        assert found.metainfo['present_classes'] == sorted([bee, dog])
    # Without classes: its own folders, also those that one variant lacks.
    assert [row[2] for row in rows(dataset(data))] == [0, 1, 0, 1]


def test_folders_of_numbers(data):
    """In the order of numbers, not of text."""
    add_images(data / 'v2', '2/a.png', '10/b.png', '0/c.png')
    found = VariantDataset(str(data / 'v2'), numbered=True, pipeline=PIPELINE)
    assert sorted(row[1:] for row in rows(found)) == [
        ('a.png', 2), ('b.png', 10), ('c.png', 0)]
    assert found.metainfo['present_classes'] == [0, 2, 10]
    with pytest.raises(ValueError, match='"bee"'):
        dataset(data, numbered=True)


def test_names_of_variants_and_their_folders(data):
    add_images(data / 'test', 'only_fg/val/00_dog/a.png')
    found = dataset(data, dict(only_fg='only_fg/val'))
    assert rows(found) == [('only_fg', 'a.png', 0)]


def test_missing_variants(data):
    wanted = ('fog/1', 'snow/1', 'snow/2')
    with pytest.raises(FileNotFoundError, match='"snow/2".*skip_missing'):
        dataset(data, wanted)
    found = dataset(data, wanted, skip_missing=True)
    assert found.metainfo['variants'] == ['fog/1', 'snow/1']
    with pytest.raises(FileNotFoundError, match='rain'):
        dataset(data, ('rain', ), skip_missing=True)


def test_bad_layouts(data):
    add_images(data / 'test', 'fog/2/zebra/a.png')
    with pytest.raises(ValueError, match='fog/2.*"zebra"'):
        dataset(data, classes_from=str(data / 'train'))
    with pytest.raises(FileNotFoundError, match='classes_from'):
        dataset(data, classes_from=str(data / 'nothing.txt'))
    torch.save(dict(state_dict={}), data / 'plain.pth')
    with pytest.raises(CheckpointError, match='plain.pth'):
        dataset(data, classes_from=str(data / 'plain.pth'))
    with pytest.raises(FileNotFoundError, match='nowhere'):
        VariantDataset(str(data / 'nowhere'))
    add_images(data / 'flat', 'a.png')
    with pytest.raises(ValueError, match='flat'):
        VariantDataset(str(data / 'flat'))
