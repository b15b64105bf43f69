"""Generated sets for retrieval and video, and the commands on them."""

import json
import pickle

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image

from ibot_mm.datasets.copydays import copydays_blocks
from ibot_mm.registry import MODELS
from tests.helpers.in_process import import_tool, run_tool

EXAMPLES = 'configs/examples/vit-micro-p8_{}_shapes.py'
SETS = dict(
    video=dict(num_videos=1, num_frames=4),
    retrieval=dict(num_queries=2, num_others=2),
    copydays=dict(num_originals=2, num_strong=1, num_distractors=2,
                  num_whitening=3))


def write(name, folder, seed=0):
    tool = import_tool(f'dataset_tools/shapes_{name}.py')
    getattr(tool, f'write_{name}')(folder, seed, **SETS[name])
    return folder


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp('shapes')
    for name in SETS:
        write(name, root / name)
    return root


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes()
            for path in sorted(folder.rglob('*')) if path.is_file()}


@pytest.mark.parametrize('name', SETS)
def test_bytes_depend_on_the_seed_alone(data, tmp_path, name):
    again = contents(write(name, tmp_path / name))
    assert again == contents(data / name)
    other = contents(write(name, tmp_path / 'other' / name, 1))
    assert other.keys() == again.keys() and other != again


def test_two_objects_move(data):
    folder = data / 'video/Annotations/480p/shapes00'
    masks = [np.array(Image.open(path)) for path in sorted(folder.iterdir())]
    assert all(np.unique(mask).tolist() == [0, 1, 2] for mask in masks)
    columns = [[np.nonzero(mask == i)[1].mean() for mask in masks]
               for i in (1, 2)]
    assert columns[0] == sorted(columns[0])
    assert columns[1] == sorted(columns[1], reverse=True)


def test_views_are_parts_of_their_scene(data):
    truth = pickle.loads((data / 'retrieval/gnd_retrieval.pkl').read_bytes())
    assert truth['qimlist'] == ['scene_0000', 'scene_0001']
    names = truth['imlist']
    assert len(names) == 2 * 8 + 2
    for name, query in zip(truth['qimlist'], truth['gnd']):
        for kind, count in (('easy', 3), ('hard', 3), ('junk', 2)):
            assert [names[i] for i in query[kind]] == [
                f'{name}_{kind}{i}' for i in range(count)]
    scene, other, easy, junk = (
        cv2.imread(str(data / 'retrieval/jpg' / f'scene_000{view}.jpg'))
        for view in ('0', '1', '0_easy0', '0_junk0'))
    assert scene.shape == easy.shape == junk.shape

    def best_match(image):
        """Correlation with the view at 60 to 90 % of the area."""
        sides = np.linspace(.6, .9, 13)**.5
        image = cv2.resize(image, easy.shape[1::-1])
        return max(cv2.matchTemplate(
            image, cv2.resize(easy, None, fx=side, fy=side),
            cv2.TM_CCOEFF_NORMED).max() for side in sides)

    assert best_match(scene) > 0.8 > 0.6 > best_match(other)


def test_copies_of_the_originals(data):
    blocks = copydays_blocks(str(data / 'copydays'))
    assert len(blocks) == 2 + 9 + 9
    assert all(len(paths) == 2 for paths in blocks.values())
    # A crop of 80 percent keeps a fifth of the area.
    whole, part = (cv2.imread(blocks[block][0])[..., 0].size
                   for block in ('original', 'crops/80'))
    assert part / whole == pytest.approx(0.2, abs=0.02)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    model = MODELS.build(
        Config.fromfile('configs/_base_/models/frozen_vit-micro-p8.py').model)
    model.init_weights()
    path = tmp_path_factory.mktemp('checkpoint') / 'epoch_1.pth'
    torch.save(dict(state_dict={
        f'teacher.{name}': value
        for name, value in model.state_dict().items()}), path)
    return path


SAMPLES = dict(video='1 videos', retrieval='2 images', copydays='40 images')
DATASET = 'test_dataloader.dataset.'
BANK = 'test_cfg.bank_dataloader.dataset.'
PROTOCOL = 'test_cfg.protocol.'


@pytest.mark.parametrize('example, name, settings, metric', [
    ('video-segmentation', 'video', {f'{DATASET}data_root': ''}, 'davis/J&F'),
    pytest.param('retrieval', 'retrieval', {
        f'{DATASET}data_root': '', f'{BANK}data_root': '',
        f'{PROTOCOL}ann_file': '/gnd_retrieval.pkl'}, 'revisited/medium_mAP',
        marks=pytest.mark.slow),
    pytest.param('copy-detection', 'copydays', {
        f'{DATASET}data_root': '', f'{BANK}data_root': '',
        f'{BANK}distractors': '/distractors', f'{BANK}whitening': '/whitening',
        f'{PROTOCOL}data_root': ''}, 'copydays/strong_mAP',
        marks=pytest.mark.slow),
])
def test_examples(data, checkpoint, tmp_path, example, name, settings,
                  metric):
    options = [f'{key}={data / name}{path}' for key, path in settings.items()]
    printed = run_tool(
        'test.py', EXAMPLES.format(example), checkpoint, '--work-dir',
        tmp_path, '--out', tmp_path / 'metrics.json', '--cfg-options',
        *options).out
    assert f'{SAMPLES[name]} in {data / name}' in printed
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert 0 < metrics[metric] <= 100
