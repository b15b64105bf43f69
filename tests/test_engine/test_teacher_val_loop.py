"""Validation of the teacher with and without labels."""

import json
import random
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

from ibot_mm.datasets import UnlabeledDataset
from ibot_mm.engine.loops import KNNValLoop, TeacherValLoop
from tests.helpers.builders import build_model
from tests.helpers.in_process import train
from tests.helpers.launched import tiny_config
from tests.helpers.resumed import load, same

LABEL_FREE = [dict(type=f'ibot_mm.{name}') for name in (
    'RankMe', 'Uniformity', 'LiDAR', 'Alignment', 'PartMatches')]
CLUSTERING = dict(type='ibot_mm.TeacherClustering')
VIEWS = dict(num_images=6, num_views=2, size=32)
KEYS = {'quality/rankme', 'quality/uniformity', 'quality/lidar',
        'quality/alignment', 'quality/part_match_acc',
        'quality/part_match_chance'}


def loader(folder, kind):
    return dict(
        batch_size=5,
        num_workers=0,
        sampler=dict(type='DefaultSampler', shuffle=False),
        dataset=dict(
            type=f'ibot_mm.{kind}',
            data_root=str(folder),
            serialize_data=False,
            pipeline=[dict(type='ibot_mm.LoadImage'),
                      dict(type='Resize', scale=(32, 32)),
                      dict(type='PackInputs')]))


def build(cls, folder, kind='UnlabeledDataset', **kwargs):
    init_default_scope('mmpretrain')
    runner = SimpleNamespace(
        model=build_model(), seed=0, hooks=[], _train_loop=None,
        _randomness_cfg={}, build_dataloader=Runner.build_dataloader,
        call_hook=lambda *args, **kwargs: None)
    return cls(runner, loader(folder, kind), views=VIEWS, **kwargs)


def test_images_without_labels(shapes):
    loop = build(TeacherValLoop, shapes / 'val', evaluator=LABEL_FREE)
    vectors = []
    for sample in loop.dataloader.dataset:
        images = loop.runner.model.data_preprocessor(dict(
            inputs=sample['inputs'][None]))['inputs']
        vectors.append(loop.runner.model.teacher.backbone.extract_tokens(
            images)[0].detach())
    values = torch.linalg.svdvals(torch.cat(vectors))
    metrics = loop.run()
    assert metrics.keys() == KEYS
    assert metrics['quality/rankme'] == pytest.approx(float(torch.exp(
        torch.distributions.Categorical(values).entropy())), rel=1e-3)


def test_without_labels_there_is_no_clustering(shapes):
    loop = build(TeacherValLoop, shapes / 'val', evaluator=CLUSTERING)
    with pytest.raises(ValueError, match='TeacherClustering'):
        loop.run()


def test_protocols_are_no_evaluators(shapes):
    with pytest.raises(ValueError, match='val_evaluator.*PrototypeClust'):
        build(TeacherValLoop, shapes / 'val', evaluator=dict(
            type='ibot_mm.PrototypeClustering'))


def test_a_training_has_no_cache_of_features(shapes, tmp_path):
    with pytest.raises(TypeError, match='cache_dir'):
        build(KNNValLoop, shapes / 'val', cache_dir=str(tmp_path),
              bank_dataloader=loader(shapes / 'train', 'LabeledDataset'))


def test_knn_needs_labels(shapes):
    loop = build(KNNValLoop, shapes / 'val',
                 bank_dataloader=loader(shapes / 'train', 'UnlabeledDataset'))
    with pytest.raises(ValueError, match='TeacherValLoop'):
        loop.run()


def test_beside_knn_the_images_are_read_once(shapes, monkeypatch):
    loop = build(
        KNNValLoop, shapes / 'val', 'LabeledDataset', k=[1], topk=[1],
        bank_dataloader=loader(shapes / 'train', 'LabeledDataset'),
        evaluator=[dict(type='ibot_mm.RankMe'), CLUSTERING])
    seen = []
    extract_feat = loop.runner.model.extract_feat
    monkeypatch.setattr(loop.runner.model, 'extract_feat', lambda images: (
        seen.append(len(images)), extract_feat(images))[1])
    assert loop.run().keys() == {
        'knn/k1_top1', 'knn/top1', 'quality/rankme', 'quality/nmi',
        'quality/ari', 'quality/fmi'}
    assert sum(seen) == 24 + 48


def test_no_random_numbers_and_no_change_of_the_model(shapes):
    loop = build(TeacherValLoop, shapes / 'val', evaluator=LABEL_FREE)

    def state():
        return dict(loop.runner.model.state_dict(),
                    random=random.getstate(),
                    numpy=np.random.get_state(legacy=False)['state']['pos'])

    teacher = loop.extract(loop.dataloader, None)  # MMEngine draws a seed
    loop.extract = lambda *args: teacher
    before = {name: value.clone() if isinstance(value, torch.Tensor)
              else value for name, value in state().items()}
    numbers = torch.get_rng_state()
    assert loop.run() == loop.run()
    same(state(), before)
    assert torch.equal(torch.get_rng_state(), numbers)


def test_images_at_equal_distances(tmp_path):
    for i in range(9):
        (tmp_path / f'{i}.png').touch()
    settings = dict(data_root=str(tmp_path), pipeline=[],
                    serialize_data=False)
    names = [info['img_path'][-5:] for info in (
        UnlabeledDataset(max_images=3, **settings).get_data_info(i)
        for i in range(3))]
    assert names == ['0.png', '4.png', '8.png']
    assert len(UnlabeledDataset(**settings)) == 9
    (tmp_path / 'list.txt').write_text('7.png\n\n3.png\n')
    listed = UnlabeledDataset(ann_file='list.txt', **settings)
    assert [listed.get_data_info(i)['img_path'][-5:] for i in range(2)] == [
        '7.png', '3.png']


@pytest.mark.parametrize('folder,error', [
    ('missing', FileNotFoundError), ('', ValueError)])
def test_folders_without_images_are_named(tmp_path, folder, error):
    with pytest.raises(error, match=str(tmp_path / folder)):
        UnlabeledDataset(str(tmp_path / folder), pipeline=[])


@pytest.mark.slow
def test_training_does_not_depend_on_it(tmp_path, shapes):
    """Weights and optimizer bit by bit, with labels and without."""
    text = f'''
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks['checkpoint'] = dict(
    interval=1, save_best='quality/uniformity', rule='less')
views = {dict(VIEWS, size=48)}
'''
    texts = dict(
        labels=f'''{text}
val_cfg['views'] = views
val_evaluator = {[*LABEL_FREE, CLUSTERING]}
''',
        without=f'''{text}
val_dataloader = dict(
    batch_size=8, num_workers=1, persistent_workers=False,
    dataset=dict(
        _delete_=True, type='ibot_mm.UnlabeledDataset',
        data_root='{shapes}', data_prefix='train', max_images=20,
        pipeline={{{{_base_.test_pipeline}}}}))
val_cfg = dict(_delete_=True, type='ibot_mm.TeacherValLoop', views=views)
val_evaluator = {LABEL_FREE}
''',
        neither='''
train_cfg = dict(max_epochs=2, val_interval=1)
default_hooks['checkpoint'] = dict(interval=1)
''')
    for name, lines in texts.items():
        train(tiny_config(tmp_path / f'{name}.py', shapes, lines, 24),
              tmp_path / name)
    expected = load(tmp_path / 'neither' / 'epoch_2.pth')
    for name, keys in (('labels', 9), ('without', 6)):
        end = load(tmp_path / name / 'epoch_2.pth')
        for part in ('state_dict', 'optimizer'):
            same(end[part], expected[part])
        best = list((tmp_path / name).glob('best_quality_uniformity_*'))
        assert best
        found = [json.loads(line) for path in (tmp_path / name).glob(
            '*/vis_data/scalars.json') for line in
            path.read_text().splitlines() if 'quality/rankme' in line]
        assert len(found) == 2
        assert sum(key.startswith('quality/') for key in found[0]) == keys
