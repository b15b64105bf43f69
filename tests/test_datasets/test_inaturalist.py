"""Labels of iNaturalist from files in the competitions' format."""

import json

import numpy as np
import pytest
from PIL import Image

from ibot_mm.datasets import INaturalist

# Ids neither sorted nor without gaps: the labels of 10, 20, 30 are 0, 1, 2.
CATEGORIES = [(30, 'Parus major'), (10, 'Apis mellifera'), (20, 'Bufo bufo')]
IMAGES = dict(
    train=[(7, 'Aves/30/a.jpg', 30), (3, 'Insecta/10/b.jpg', 10)],
    val=[(5, 'Amphibia/20/c.jpg', 20), (7, 'Aves/30/d.jpg', 30)])


def content(split, year):
    return dict(
        images=[
            dict(id=number, file_name=f'train_val{year}/{name}')
            for number, name, _ in IMAGES[split]
        ],
        # In another order than the images.
        annotations=[
            dict(id=number, image_id=number, category_id=category)
            for number, _, category in reversed(IMAGES[split])
        ],
        categories=[dict(id=i, name=name) for i, name in CATEGORIES])


@pytest.fixture(params=[2018, 2019])
def year(request):
    return request.param


@pytest.fixture()
def root(tmp_path, year):
    for split, images in IMAGES.items():
        write(tmp_path, split, year, content(split, year))
        for _, name, category in images:
            path = tmp_path / f'train_val{year}' / name
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new('RGB', (8, 6), (category, 0, 0)).save(path, quality=100)
    return tmp_path


def write(root, split, year, data):
    (root / f'{split}{year}.json').write_text(json.dumps(data))


def test_labels_are_ranks_of_training_categories(root, year):
    for split, expected in (('train', [2, 0]), ('val', [1, 2])):
        data = INaturalist(
            str(root), split, year, pipeline=[dict(type='ibot_mm.LoadImage')])
        assert data.metainfo['classes'] == ('Apis mellifera', 'Bufo bufo',
                                            'Parus major')
        assert data.get_gt_labels().tolist() == expected
        # The red of a picture is the id of its category.
        red = [np.median(data[i]['img'][..., 2]) for i in range(2)]
        ids = [category for _, _, category in IMAGES[split]]
        np.testing.assert_allclose(red, ids, atol=2)


def test_validation_categories_do_not_count(root, year):
    data = content('val', year)
    data['categories'] = [dict(id=30, name='x'), dict(id=20, name='y')]
    write(root, 'val', year, data)
    assert INaturalist(str(root), 'val', year).get_gt_labels().tolist() == [
        1, 2
    ]


def test_default_year_is_2018(root, year):
    if year == 2018:
        assert len(INaturalist(str(root))) == 2
    else:
        with pytest.raises(FileNotFoundError, match='train_val2018'):
            INaturalist(str(root))


@pytest.mark.parametrize('gone', ['train', 'val'])
def test_missing_files_are_named(root, year, gone):
    (root / f'{gone}{year}.json').unlink()
    # The validation labels need both.
    with pytest.raises(FileNotFoundError,
                       match=f'{gone}{year}.json.*data_root'):
        INaturalist(str(root), 'val', year)
    with pytest.raises(FileNotFoundError, match='/no/where.*data_root'):
        INaturalist('/no/where', 'val', year)


def test_image_without_annotation(root, year):
    data = content('val', year)
    del data['annotations'][0]
    write(root, 'val', year, data)
    with pytest.raises(ValueError, match=f'val{year}.json.*'
                       f'"train_val{year}/Aves/30/d.jpg"'):
        INaturalist(str(root), 'val', year)


def test_unknown_category(root, year):
    data = content('val', year)
    data['annotations'][0]['category_id'] = 40
    write(root, 'val', year, data)
    with pytest.raises(ValueError,
                       match=f'val{year}.json.*train{year}.json.*"40"'):
        INaturalist(str(root), 'val', year)


def test_file_of_another_format(root, year):
    write(root, 'val', year, dict(images=[]))
    with pytest.raises(ValueError, match=f'val{year}.json.*"annotations"'):
        INaturalist(str(root), 'val', year)
    (root / f'val{year}.json').write_text('{"images": [')
    with pytest.raises(ValueError, match=f'val{year}.json'):
        INaturalist(str(root), 'val', year)


@pytest.mark.parametrize('wrong', [dict(split='test'), dict(year=2017)])
def test_unknown_settings(wrong):
    (key, value), = wrong.items()
    with pytest.raises(ValueError, match=f'{key}.*{value}'):
        INaturalist('x', **wrong)


def test_unreadable_image_is_named(root, year):
    bad = root / f'train_val{year}' / 'Aves/30/d.jpg'
    bad.write_bytes(b'')
    data = INaturalist(
        str(root), 'val', year, pipeline=[dict(type='ibot_mm.LoadImage')])
    with pytest.raises(ValueError, match=f'"{bad}"'):
        data[1]
