"""All protocols end to end on the command line, on a few images."""

import importlib
import json
import re
import shutil
from copy import deepcopy
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from PIL import Image
from torchvision.transforms.functional import (
    InterpolationMode,
    normalize,
    pil_to_tensor,
    resize,
)

import ibot_mm
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.models import IBOT
from tests.helpers.builders import TINY_MODEL
from tests.helpers.in_process import import_tool, run_tool

protocol_config = import_tool('evaluate.py').protocol_config
split_data = import_tool('evaluate.py').split_data
test_set_config = import_tool('evaluate.py').test_set_config
test_set_config.__test__ = False  # pytest takes it for a test
EXAMPLE = 'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py'

CLASSES = ['disc', 'ring', 'square']  # names do not matter
PROTOCOLS = ['knn', 'logistic', 'unsupervised', 'linear', 'finetune',
             'transfer', 'semi']


@pytest.fixture(scope='module')
def data(tmp_path_factory):
    """Three classes with 12 training and 6 test images each."""
    root = tmp_path_factory.mktemp('data')
    generator = torch.Generator().manual_seed(0)
    for split, count in (('train', 12), ('val', 6)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                noise = torch.rand(40, 50, 3, generator=generator) * 120
                noise[..., label] += 4
                Image.fromarray(noise.byte().numpy()).save(
                    folder / f'{split}_{name}_{i}.png')
    (root / 'half.txt').write_text('\n'.join(
        f'train_{name}_{i}.png' for name in CLASSES for i in range(8)))
    return root


@pytest.fixture(scope='module')
def pretrained(tmp_path_factory):
    """(path, model) of a checkpoint in a work dir, with the config."""
    cfg = Config.fromfile(ibot_mm.config_path(EXAMPLE))
    cfg.merge_from_dict(dict(model=deepcopy(TINY_MODEL)))  # it is modified
    settings = {k: v for k, v in cfg.model.items() if k != 'type'}
    torch.manual_seed(0)
    model = IBOT(**settings)
    model.init_weights()
    with torch.no_grad():
        for parameter in model.teacher.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_7.pth'
    torch.save(dict(state_dict=model.state_dict()), path)
    cfg.dump(path.parent / 'pretraining.py')
    return path, model.eval()


@pytest.fixture(scope='module')
def results(data, pretrained, tmp_path_factory):
    out = tmp_path_factory.mktemp('results')
    shown, _ = run_tool(
        'evaluate.py', pretrained[0], '--data-root', data, '--protocols',
        ','.join(PROTOCOLS), '--subset', data / 'half.txt', '--out', out,
        '--batch-size', 12, '--epochs', 2, '--workers', 0, '--cfg-options',
        'finetune.optim_wrapper.optimizer.lr=0.05',
        'finetune.optim_wrapper.accumulative_counts=2',
        'finetune.train_dataloader.batch_size=6',
        'finetune.default_hooks.logger.interval=1')
    rows = json.loads((out / 'results.json').read_text())['epoch_7']
    # Read here: a run with other protocols replaces it.
    return out, rows, shown, (out / 'results.md').read_text()


@pytest.mark.slow
def test_a_table_of_all_protocols(results):
    _, rows, shown, table = results
    assert list(rows) == PROTOCOLS
    assert table.strip() in shown
    for name, row in rows.items():
        assert 0 <= row['value'] <= 100
        assert f'| {row["value"]:.1f} |' in table
        assert row['seconds'] > 0 and 100 < row['memory_mib'] < 10000
    assert '2 epochs, batch 12, 45 rates' in table
    assert 'k-NN: k = [20, 10], because there are 24' in shown


@pytest.mark.slow
def test_learning_rates_follow_the_batch(results):
    """The table's rate is the peak of the log: 0.05 for 1024 images."""
    rates = [json.loads(line)['lr'] for line in next(
        (results[0] / 'epoch_7' / 'finetune').glob('*/vis_data/scalars.json')
    ).read_text().splitlines() if '"lr"' in line]
    # Two accumulated batches of 6 per optimizer step.
    assert max(rates) == pytest.approx(0.05 * 12 / 1024, rel=1e-3)
    assert f'lr {max(rates):.3g}' in results[3]


def features(model, folder, names=None):
    """Teacher's CLS tokens, computed without the evaluation code."""
    vectors, labels = [], []
    for label, name in enumerate(CLASSES):
        for path in sorted((folder / name).glob('*.png')):
            if names and f'{name}/{path.name} {label}' not in names:
                continue
            image = resize(Image.open(path), [48, 48],
                           InterpolationMode.BICUBIC)
            image = normalize(pil_to_tensor(image).float(),
                              [123.675, 116.28, 103.53],
                              [58.395, 57.12, 57.375])
            vectors.append(image)
            labels.append(label)
    with torch.no_grad():
        tokens = model.teacher.backbone.extract_tokens(torch.stack(vectors))
    return tokens[0], torch.tensor(labels)


@pytest.mark.slow
def test_k_nn_by_hand(results, data, pretrained):
    """Similarities, votes and accuracy recomputed from the files."""
    bank, bank_labels = features(pretrained[1], data / 'train')
    kept = torch.tensor([i for i in range(36) if int(
        sorted(str(j) for j in range(12))[i % 12]) < 8])
    bank, bank_labels = bank[kept], bank_labels[kept]
    queries, labels = features(pretrained[1], data / 'val')
    near = F.normalize(queries, dim=1) @ F.normalize(bank, dim=1).T
    votes, index = near.topk(10)
    scores = torch.zeros(18, 3).index_put_(
        (torch.arange(18).repeat_interleave(10), bank_labels[index].flatten()),
        (votes / 0.07).exp().flatten(), accumulate=True)
    wanted = 100 * float((scores.argmax(1) == labels).float().mean())
    assert results[1]['knn']['metrics']['knn/k10_top1'] == pytest.approx(
        wanted, abs=1e-4)


def state_of(results, protocol):
    path = results[0] / 'epoch_7' / protocol / 'epoch_2.pth'
    return torch.load(path, weights_only=False)['state_dict']


@pytest.mark.slow
def test_the_linear_probe_does_not_train_the_backbone(results, pretrained):
    state = state_of(results, 'linear')
    for name, value in pretrained[1].teacher.backbone.state_dict().items():
        assert torch.equal(state[f'backbone.{name}'], value), name
    # Both blocks, of 24 values each, and all learning rates.
    assert state['weight'].shape == (45, 3, 48)
    log = (results[0] / 'epoch_7' / 'linear' / 'log.txt').read_text()
    assert len(re.findall('best: [0-9.]+ with', log)) == 2


@pytest.mark.slow
@pytest.mark.parametrize('protocol', ['finetune', 'transfer', 'semi'])
def test_fine_tuning_starts_from_the_teacher(results, pretrained, protocol):
    state = state_of(results, protocol)
    moved = [
        (state[f'backbone.{name}'] - value).abs().max().item()
        for name, value in pretrained[1].teacher.backbone.state_dict().items()
    ]
    # Adam moves a weight by about its learning rate, over 4 steps.
    assert 0 < max(moved) < 0.02
    assert state['head.fc.weight'].shape[0] == 3


@pytest.mark.slow
def test_semi_supervised_starts_from_the_projection(results, pretrained):
    state = state_of(results, 'semi')
    layer = pretrained[1].teacher.neck.mlp[0]
    assert 0 < (state['neck.mlp.0.weight'] - layer.weight).abs().max() < 1e-3
    assert state['head.fc.weight'].shape == (3, 32)


@pytest.mark.slow
def test_logs_say_what_was_read(results, pretrained):
    path, _ = pretrained
    names = list(torch.load(path)['state_dict'])
    count = sum(name.startswith('teacher.backbone.') for name in names)
    for protocol, line in dict(
            knn=f'FeatureExtractor: {count} entries of the teacher in ',
            linear=f"IBOTViT: {count} entries of the teacher's backbone in ",
            finetune=f"IBOTViT: {count} entries of the teacher's backbone in ",
            semi="ProjectionNeck: 2 entries of the teacher's neck in ",
    ).items():
        folder = results[0] / 'epoch_7' / protocol
        log = next(folder.glob('*/*.log')).read_text()
        assert log.count(f'{line}"{path}"') == 1, protocol


@pytest.mark.slow
def test_finished_protocols_are_not_run_again(results, data, pretrained):
    out, rows, *_ = results
    before = (out / 'epoch_7' / 'knn' / 'log.txt').stat().st_mtime_ns
    run_tool('evaluate.py', pretrained[0], '--data-root', data,
             '--protocols', 'knn', '--subset', data / 'half.txt', '--out', out,
             '--batch-size', 12, '--epochs', 2, '--workers', 0)
    assert (out / 'epoch_7' / 'knn' / 'log.txt').stat().st_mtime_ns == before
    assert json.loads((out / 'results.json').read_text())[
        'epoch_7']['knn'] == rows['knn']


@pytest.mark.slow
def test_other_settings_retrain_in_the_same_folder(results, data, pretrained,
                                                   tmp_path):
    out = tmp_path / 'out'
    shutil.copytree(results[0], out)
    run_tool('evaluate.py', pretrained[0], '--data-root', data, '--protocols',
             'linear', '--subset', data / 'half.txt', '--out', out,
             '--batch-size', 12, '--epochs', 1, '--workers', 0)
    folder = out / 'epoch_7' / 'linear'
    assert (folder / 'epoch_1.pth').is_file()
    assert not (folder / 'epoch_2.pth').exists()
    earlier, = folder.glob('earlier_*')
    assert (earlier / 'epoch_2.pth').is_file()


@pytest.mark.slow
def test_another_list_is_another_result(results, data, pretrained, tmp_path):
    """Two processes equal one; also with a subset."""
    out, rows, *_ = results
    arguments = ['--data-root', data, '--protocols', 'knn', '--batch-size',
                 12, '--workers', 0]
    run_tool('evaluate.py', pretrained[0], *arguments, '--subset',
             data / 'half.txt', '--out', tmp_path, '--processes', 2)
    two = json.loads((tmp_path / 'results.json').read_text())['epoch_7']['knn']
    assert two['metrics'] == pytest.approx(rows['knn']['metrics'])
    short = data / 'half_again.txt'
    short.write_text('\n'.join((data / 'half.txt').read_text().split()[:20]))
    run_tool('evaluate.py', pretrained[0], *arguments, '--subset', short,
             '--out', tmp_path)
    one = json.loads((tmp_path / 'results.json').read_text())['epoch_7']['knn']
    assert one['digest'] != two['digest']
    assert one['settings'] == 'k = 20, 10' and one['metrics'] != (
        two['metrics'])


@pytest.mark.slow
def test_a_folder_without_train_and_val(data, pretrained, tmp_path):
    """A third of each class of 12 images: the lists, and k-NN with them."""
    folder, out = data / 'train', tmp_path / 'out'
    run_tool('evaluate.py', pretrained[0], '--data-root', folder, '--split',
             1 / 3, '--seed', 3, '--out', out, '--batch-size', 12,
             '--workers', 0)
    train, val = ((out / f'{part}.txt').read_text().splitlines()
                  for part in ('train', 'val'))
    assert sorted(line.split()[0] for line in train + val) == sorted(
        str(path.relative_to(folder)) for path in folder.rglob('*.png'))
    for label, name in enumerate(CLASSES):
        for part, count in ((train, 8), (val, 4)):
            found = [line for line in part if line.startswith(f'{name}/')]
            assert len(found) == count
            assert all(line.endswith(f' {label}') for line in found)
    lists = split_data(str(folder), 1 / 3, 3, tmp_path)
    assert Path(lists[1]).read_text().splitlines() == val
    # The accuracy, from features that are extracted here.
    bank, queries = (
        features(pretrained[1], folder, part) for part in (train, val))
    near = F.normalize(queries[0], dim=1) @ F.normalize(bank[0], dim=1).T
    votes, index = near.topk(20)
    scores = ((votes / 0.07).exp()[..., None]
              * F.one_hot(bank[1])[index]).sum(1)
    hits = (scores.argmax(1) == queries[1]).float().mean()
    row = json.loads((out / 'results.json').read_text())['epoch_7']['knn']
    assert row['metrics']['knn/top1'] == pytest.approx(100 * float(hits))


def test_a_split_trains_and_validates_on_its_lists(pretrained):
    cfg = protocol_config(
        'linear', Config.fromfile(pretrained[0].parent / 'pretraining.py'),
        'root', 3, 1000, lists=['/train.txt', '/val.txt'])
    train, val = (cfg[f'{part}_dataloader'].dataset
                  for part in ('train', 'val'))
    assert (train.data_root, train.ann_file) == ('root', '/train.txt')
    assert (val.data_root, val.ann_file) == ('root', '/val.txt')
    # One folder defines the classes of both.
    assert train.classes_prefix == val.classes_prefix == ''


@pytest.mark.slow
def test_features_are_shared_through_the_cache(results):
    """Logistic regression reuses the two files of k-NN."""
    out, *_ = results
    knn, logistic = ((out / 'epoch_7' / p / 'log.txt').read_text()
                     for p in ('knn', 'logistic'))
    assert 'features from' not in knn
    assert len(re.findall('features from .*features_', logistic)) == 2
    assert len(list((out / 'features').glob('*.pt'))) == 3  # and the logits


def copy_images(data, folder, numbered=False):
    """The validation images under other folders."""
    for label, name in enumerate(sorted(CLASSES)):
        shutil.copytree(data / 'val' / name,
                        folder / (str(label) if numbered else name))


@pytest.mark.slow
def test_test_sets_of_the_validation_images(data, pretrained, tmp_path):
    """Each set has the validation images: its result is the probe's."""
    sets = tmp_path / 'sets'
    for name in ('imagenet-a', 'imagenet-r'):
        copy_images(data, sets / name)
    copy_images(data, sets / 'imagenet-v2', numbered=True)
    for name in ('original', 'only_fg', 'mixed_same', 'mixed_rand',
                 'mixed_next', 'no_fg', 'only_bg_b', 'only_bg_t'):
        copy_images(data, sets / 'imagenet-9' / name / 'val')
    (sets / 'imagenet-9/in_to_in9.json').write_text('{"0":0,"1":1,"2":2}')
    for severity in range(1, 6):
        copy_images(data, sets / f'imagenet-c/snow/{severity}')
    import_tool('dataset_tools/shapes_retrieval.py').write_retrieval(
        sets / 'roxford5k', 0, num_queries=2, num_others=2)
    import_tool('dataset_tools/shapes_copydays.py').write_copydays(
        sets / 'copydays', 0, num_originals=2, num_strong=1,
        num_distractors=1, num_whitening=1)
    import_tool('dataset_tools/shapes_video.py').write_video(
        sets / 'davis2017', 0, num_videos=1, num_frames=4, size=(64, 64))
    names = [path.name for path in sorted(sets.iterdir())]
    shown, _ = run_tool(
        'evaluate.py', pretrained[0], '--data-root', data, '--protocols',
        ','.join(['linear', 'parts', 'occlusion', *names]), '--out',
        tmp_path / 'out', '--batch-size', 12, '--epochs', 2, '--workers', 0,
        '--test-sets', *(f'{name}={sets / name}' for name in names),
        '--cfg-options', 'imagenet-c.test_dataloader.dataset.'
        'skip_missing=True', 'davis2017.test_dataloader.dataset.pipeline.1.'
        'short_side=64')
    rows = json.loads((tmp_path / 'out/results.json').read_text())['epoch_7']
    top1 = rows['linear']['value']
    assert 0 < top1 < 100
    for name in ('imagenet-9', 'imagenet-a', 'imagenet-r', 'imagenet-v2'):
        assert rows[name]['value'] == pytest.approx(top1), name
    assert rows['imagenet-9']['metrics']['in9/bg_gap'] == 0
    assert rows['imagenet-c']['metrics']['corruption/snow'] == (
        pytest.approx(100 - top1))
    found = rows['occlusion']['metrics']
    assert found['perturbation/clean'] == pytest.approx(top1)
    assert found['perturbation/random_0'] == pytest.approx(top1)
    assert found['perturbation/shuffle_1x1'] == pytest.approx(top1)
    assert rows['copydays']['metrics']['copydays/original_mAP'] == 100
    for name in ('parts', 'roxford5k', 'davis2017'):
        assert 0 <= rows[name]['value'] <= 100
    assert f'unchanged {top1:.1f}' in shown


def test_test_sets_of_the_published_size():
    cfg = Config.fromfile(ibot_mm.config_path(
        'ibot/ibot_vit-base-p16_16xb64-multicrop-400e_in1k.py'))

    def made(name):
        return test_set_config(name, cfg, f'data/{name}', {}, 'data/train',
                               None, 2, None)

    natural = made('imagenet-a').test_dataloader.dataset
    assert (natural.data_root, natural.classes_from) == (
        'data/imagenet-a', 'data/train')
    assert [step.get('scale', step.get('crop_size'))
            for step in natural.pipeline] == [None, 256, 224, None]
    assert natural.pipeline[1].interpolation == 'bilinear'
    assert len(made('imagenet-9').test_dataloader.dataset.pipeline) == 2
    occlusion = made('occlusion').test_cfg
    assert occlusion.drop_grid == (14, 14)
    assert occlusion.grids[-1] == (16, 16)
    video = made('davis2017')
    assert video.model.backbone.arch == 'base'
    assert video.model.data_preprocessor.std[0] == 0.228 * 255
    copies = made('copydays')
    assert copies.test_cfg.protocol.data_root == (
        copies.test_cfg.bank_dataloader.dataset.data_root)


@pytest.mark.parametrize('line, done', [
    ('Epoch(train)  [2][ 5/10]  lr: 1', .5),
    ('x - INFO - Epoch(test) [100/400]    eta: 0:01', .25),
    ('x - INFO - perturbations [10/40]', .25),
    ('x - INFO - video [ 3/30] bear: 1 objects', .1),
    ('x - INFO - features [50/100]  eta: 3 s', .5), ('Saving', None)])
def test_progress_of_a_line(line, done):
    progress_of = importlib.import_module('evaluation.process').progress_of
    assert progress_of(line, 3) == done


@pytest.mark.slow
def test_a_protocol_that_fails_is_named(data, pretrained, tmp_path):
    """With a broken image the others run; table and status show it."""
    broken = tmp_path / 'data'
    for path in data.rglob('*.png'):
        target = broken / path.relative_to(data)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    bad = broken / 'train' / 'disc' / 'train_disc_0.png'
    bad.write_bytes(bad.read_bytes()[:200])
    _, errors = run_tool(
        'evaluate.py', pretrained[0], '--data-root', broken, '--protocols',
        'knn,unsupervised', '--out', tmp_path / 'out', '--batch-size', 6,
        '--workers', 0, code=1)
    assert 'train_disc_0.png' in errors
    rows = json.loads((tmp_path / 'out' / 'results.json').read_text())[
        'epoch_7']
    assert 'value' in rows['unsupervised'] and 'error' in rows['knn']
    assert '| failed |' in (tmp_path / 'out' / 'results.md').read_text()


@pytest.mark.parametrize('changes, key', [
    (['--protocols', 'knn,quiz'], '"quiz"'),
    (['--protocols', 'semi'], '"semi".*--subset'),
    (['--data-root', 'nowhere'], '"nowhere".*data_root'),
    (['--protocols', 'linear', '--batch-size', '64'],
     '36 .* 64 x 1 .*--batch-size'),
    (['--protocols', 'linear', '--batch-size', '20', '--processes', '2'],
     '36 .* 20 x 2 .*--batch-size'),
    (['--cfg-options', 'linear.x=1'], '"linear.x"'),
    (['--protocols', 'occlusion,linear'], '"occlusion".* linear'),
    (['--protocols', 'davis2017'], '"davis2017".*davis2017=FOLDER'),
    (['--test-sets', 'davis=x'], '"davis".*knn'),
    (['--protocols', 'davis2017', '--test-sets', 'davis2017=2017'],
     'davis2017=2017'),
    (['--split', '0.2'], '--split 0.2: .*train/ and val/'),
    (['--split', '20'], '--split 20 must'),
])
def test_bad_input(data, pretrained, tmp_path, changes, key):
    with pytest.raises((ValueError, FileNotFoundError), match=key):
        run_tool('evaluate.py', pretrained[0], '--data-root', data, '--out',
                 tmp_path, *changes)
    assert not list(tmp_path.iterdir())


def test_a_folder_without_splits_names_the_option(data, pretrained):
    with pytest.raises(FileNotFoundError, match='/train" .*--split'):
        run_tool('evaluate.py', pretrained[0], '--data-root', data / 'train')


@pytest.mark.parametrize('recipe, depth_decay, drop, epochs, blocks', [
    ('vit-small-p16_16xb64-multicrop-800e', .75, .1, 200, 4),
    ('vit-base-p16_16xb64-multicrop-400e', .65, .2, 100, 1),
    ('vit-large-p16_16xb64-multicrop-250e', .75, .4, 50, 1)])
def test_recipes_of_the_published_sizes(recipe, depth_decay, drop, epochs,
                                        blocks):
    cfg = Config.fromfile(ibot_mm.config_path(f'ibot/ibot_{recipe}_in1k.py'))
    arguments = (cfg, 'data', 1000, 10000)
    tune = protocol_config('finetune', *arguments)
    assert tune.optim_wrapper.paramwise_cfg.layer_decay_rate == depth_decay
    assert tune.model.backbone.drop_path_rate == drop
    assert tune.train_cfg.max_epochs == epochs
    assert tune.model.backbone.arch == cfg.model.backbone.arch
    assert tune.test_dataloader.dataset.pipeline[1].interpolation == (
        'bilinear')
    linear = protocol_config('linear', *arguments)
    assert linear.model.n_last_blocks == blocks
    assert linear.model.pooling == ('cls' if blocks == 4 else 'cls_avg')
    assert linear.test_dataloader.dataset.pipeline[1].interpolation == (
        'bicubic')


def test_a_pretraining_without_validation():
    cfg = Config.fromfile(ibot_mm.config_path(
        'examples/ibot_vit-small-p16_1xb64-multicrop-100e_own-images.py'))
    pipeline = protocol_config('knn', cfg, 'data', 3, 1000
                               ).test_dataloader.dataset.pipeline
    assert (pipeline[1].scale, pipeline[2].crop_size) == (256, 224)


def test_swin_has_no_fine_tuning():
    cfg = Config.fromfile(ibot_mm.config_path(
        'ibot/ibot_swin-tiny-w7_16xb64-multicrop-300e_in1k.py'))
    with pytest.raises(ValueError, match='Swin'):
        protocol_config('finetune', cfg, 'data', 3, 1000)
    assert protocol_config('linear', cfg, 'data', 3, 1200
                           ).model.backbone.window_size == 7


def test_a_checkpoint_without_its_config(data, tmp_path):
    path = tmp_path / 'bare.pth'
    torch.save(dict(state_dict={}), path)
    with pytest.raises(CheckpointError, match='--config.*bare.pth'):
        run_tool('evaluate.py', path, '--data-root', data)


@pytest.fixture
def probe_config(results, tmp_path):
    """Config of the linear protocol of the run, without a checkpoint."""
    path = tmp_path / 'probe.py'
    path.write_text(f"""
_base_ = '{results[0] / 'epoch_7' / 'linear.py'}'
train_cfg = dict(max_epochs=3)
""")
    return path


@pytest.mark.slow
def test_a_probe_is_resumed_and_tested_without_the_pretraining(
        results, probe_config, tmp_path):
    """Its checkpoint has all weights, including the frozen ones."""
    trained = results[0] / 'epoch_7' / 'linear' / 'epoch_2.pth'
    run_tool('train.py', probe_config, '--resume', trained, '--work-dir',
             tmp_path / 'resumed')
    first, last = (torch.load(path, weights_only=False)['state_dict']
                   for path in (trained, tmp_path / 'resumed' / 'epoch_3.pth'))
    for name, value in first.items():
        if name.startswith('backbone.'):
            assert torch.equal(last[name], value)
    run_tool('test.py', probe_config, trained, '--work-dir',
             tmp_path / 'test', '--out', tmp_path / 'metrics.json')
    metrics = json.loads((tmp_path / 'metrics.json').read_text())
    assert metrics['linear/top1'] == pytest.approx(
        results[1]['linear']['value'])


@pytest.mark.slow
def test_a_trial_of_a_probe(probe_config, pretrained, tmp_path):
    run_tool('train.py', probe_config, '--pretrained', pretrained[0],
             '--work-dir', tmp_path / 'trial', '--trial', 2)
    log = next(tmp_path.glob('trial/*/vis_data/scalars.json')).read_text()
    lines = [json.loads(line) for line in log.splitlines()]
    assert [line['step'] for line in lines if 'loss' in line] == [1, 2]
    assert 'linear/top1' in lines[-1]
    assert not list(tmp_path.glob('trial/*.pth'))


@pytest.mark.slow
def test_training_without_a_checkpoint_raises(probe_config, tmp_path):
    with pytest.raises(CheckpointError, match='--pretrained'):
        run_tool('train.py', probe_config, '--work-dir', tmp_path)
    with pytest.raises(ValueError, match='load_from'):
        run_tool('train.py', probe_config, '--pretrained', 'x', '--work-dir',
                 tmp_path, '--cfg-options', 'model.backbone.init_cfg=None')
