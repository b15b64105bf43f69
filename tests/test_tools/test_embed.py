"""Features of folders and lists, as files."""

import json
import shutil
import sys

import numpy as np
import pytest
import torch
from mmengine.config import Config

from ibot_mm import Embedder, config_path
from ibot_mm.apis.embed import embed_images
from ibot_mm.apis.feature_file import read_features
from ibot_mm.checkpoints.load import CheckpointError
from tests.helpers import launched
from tests.helpers.builders import ARCH, build_model, model_config
from tests.helpers.in_process import run_tool

PATCH = dict(patch_size=16, img_size=224)


@pytest.fixture(scope='module')
def checkpoint(tmp_path_factory):
    """A network for 224 pixels, with the config of its run."""
    path = tmp_path_factory.mktemp('embed') / 'epoch_1.pth'
    cfg = Config(dict(model=model_config(backbone=PATCH)))
    model = build_model(backbone=PATCH)
    torch.save(dict(state_dict=model.state_dict(),
                    meta=dict(cfg=cfg.pretty_text)), path)
    return path


@pytest.fixture(scope='module')
def few(shapes, tmp_path_factory):
    """Five images in nested folders, two files that are none, and others."""
    folder = tmp_path_factory.mktemp('few')
    (folder / 'a' / 'b').mkdir(parents=True)
    for i, source in enumerate(sorted(shapes.glob('val/*/*'))[:5]):
        shutil.copy(source, folder / ('a/b' if i % 2 else '.') / f'{i}.jpg')
    (folder / 'a' / 'cut.jpg').write_bytes(
        next(folder.glob('*.jpg')).read_bytes()[:600])
    (folder / 'z.png').write_text('no image')
    (folder / 'notes.txt').write_text('a list of nothing')
    return folder


NAMES = ['0.jpg', '2.jpg', '4.jpg', 'a/b/1.jpg', 'a/b/3.jpg']


def embed(*args, **settings):
    options = [str(x) for name, value in settings.items()
               for x in (f'--{name.replace("_", "-")}', value)]
    return run_tool('embed.py', *args, '--workers', 0, *options).out


def accuracy(bank, queries, k):
    """Weighted k-NN in NumPy, top-1 in percent."""
    (bank_names, bank), (names, queries) = bank, queries
    labels = [name.split('/')[0] for name in bank_names]
    classes = sorted(set(labels))
    member = np.array(labels)[:, None] == np.array(classes)
    bank = bank / np.linalg.norm(bank, axis=1, keepdims=True)
    queries = queries / np.linalg.norm(queries, axis=1, keepdims=True)
    hits = 0
    for name, row in zip(names, queries @ bank.T):
        nearest = np.argsort(-row)[:k]
        scores = np.exp(row[nearest] / 0.07) @ member[nearest]
        hits += classes[scores.argmax()] == name.split('/')[0]
    return 100 * hits / len(names)


def test_knn_of_the_files_is_that_of_the_protocol(checkpoint, shapes,
                                                  tmp_path):
    files = []
    for split in ('train', 'val'):
        files.append(tmp_path / f'{split}.npz')
        embed(checkpoint, shapes / split, out=files[-1])
    config = tmp_path / 'knn.py'
    base = config_path('benchmarks/classification/knn/'
                       'ibot_vit-small-p16_knn_in1k.py')
    config.write_text(
        f"_base_ = ['{base}']\n"
        f'model = dict(backbone=dict(arch={dict(ARCH, _delete_=True)}))\n'
        f"data = dict(num_workers=0, dataset=dict(data_root='{shapes}'))\n"
        'test_dataloader = bank_dataloader = data\n'
        'test_cfg = dict(bank_dataloader=data, protocol=dict(k=[10, 5]))\n')
    run_tool('test.py', config, checkpoint, '--work-dir', tmp_path / 'work',
             '--out', tmp_path / 'knn.json')
    expected = json.loads((tmp_path / 'knn.json').read_text())
    for k in (10, 5):
        found = accuracy(*map(read_features, files), k)
        assert found == pytest.approx(expected[f'knn/k{k}_top1'], abs=1e-3)
    assert 0 < found < 100


@pytest.mark.parametrize('features, shape, endings', [
    ('cls', (24, ), ['npz']),
    ('patch_mean', (24, ), ['npy']),
    ('cls_patch_mean', (48, ), ['parquet']),
    ('patches', (2, 2, 24), ['parquet', 'npz', 'npy'])])
def test_files_hold_what_the_embedder_gives(checkpoint, few, tmp_path,
                                            features, shape, endings):
    """Bad files are listed and left out."""
    expected = Embedder(checkpoint, resize=40, crop=32)(
        [few / name for name in NAMES], layer=0)
    expected = torch.cat([
        expected.cls, expected.patch_mean], 1) if (
            features == 'cls_patch_mean') else getattr(expected, features)
    for ending in endings:
        if ending == 'parquet':
            pytest.importorskip('pyarrow')
        out = tmp_path / f'features.{ending}'
        shown = embed(checkpoint, few, out=out, features=features, layer=0,
                      resize=40, crop=32, batch_size=2)
        names, found = read_features(out)
        assert names == NAMES and found.shape == (5, *shape)
        np.testing.assert_allclose(found, expected.numpy(), atol=2e-5)
        listed = (tmp_path / f'{out}.unreadable.txt').read_text()
        assert [line.split(':')[0] for line in listed.splitlines()] == [
            'a/cut.jpg', 'z.png']
        assert 'a/cut.jpg' in shown and 'could not be read: 2' in shown
        assert not list(tmp_path.glob('*.shards'))


def test_parquet_is_what_others_read(checkpoint, few, tmp_path):
    pytest.importorskip('pyarrow')
    import pandas
    embed(checkpoint, few, out=tmp_path / 'f.parquet', resize=40, crop=32)
    frame = pandas.read_parquet(tmp_path / 'f.parquet')
    assert list(frame['name']) == NAMES
    assert np.stack(frame['features']).shape == (5, 24)


def test_a_list_gives_the_order(checkpoint, few, tmp_path):
    (few / 'list.txt').write_text('a/b/3.jpg\n\n0.jpg\nmissing.jpg\n')
    out = tmp_path / 'f.npz'
    embed(checkpoint, few / 'list.txt', out=out, resize=40, crop=32)
    assert read_features(out)[0] == ['a/b/3.jpg', '0.jpg']
    assert 'missing.jpg' in (tmp_path / 'f.npz.unreadable.txt').read_text()


def test_an_interrupted_call_continues(checkpoint, few, tmp_path):
    """Finished shards are not computed again; others do not fit."""
    out = tmp_path / 'f.npz'
    embedder = Embedder(checkpoint, resize=40, crop=32, batch_size=2)
    encode, calls = embedder.encode, []

    def interrupted(inputs, layer):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(len(inputs))
        return encode(inputs, layer)

    settings = dict(workers=0, shard_size=2, progress=False)
    embedder.encode = interrupted
    with pytest.raises(KeyboardInterrupt):
        embed_images(embedder, few, out, **settings)
    assert not out.exists()
    with pytest.raises(ValueError, match='f.npz.shards'):
        embed_images(embedder, few, out, features='patches', **settings)
    embedder.encode = lambda inputs, layer: calls.append(
        len(inputs)) or encode(inputs, layer)
    embed_images(embedder, few, out, **settings)
    assert sum(calls) == len(NAMES)
    names, found = read_features(out)
    assert names == NAMES
    np.testing.assert_allclose(
        found, encode(torch.stack([embedder.load(few / name)
                                   for name in NAMES])).cls, atol=2e-5)


@pytest.mark.parametrize('images, out, error, name', [
    ('none', 'f.npz', FileNotFoundError, 'none'),
    ('0.jpg', 'f.npz', ValueError, '0.jpg'),
    ('empty', 'f.npz', ValueError, 'empty'),
    ('.', 'f.csv', ValueError, 'f.csv')])
def test_what_cannot_be_done(checkpoint, few, tmp_path, images, out, error,
                             name):
    (few / 'empty').mkdir(exist_ok=True)
    with pytest.raises(error, match=name):
        embed(checkpoint, few / images, out=tmp_path / out)


def test_there_is_no_checkpoint(few, tmp_path):
    with pytest.raises(CheckpointError, match='nowhere.pth'):
        embed('nowhere.pth', few, out=tmp_path / 'f.npz')


@pytest.mark.slow
def test_two_processes_write_what_one_does(checkpoint, few, tmp_path):
    options = ['--resize', 40, '--crop', 32, '--workers', 0, '--shard-size', 2]
    one, two = tmp_path / 'one.npz', tmp_path / 'two.npz'
    run_tool('embed.py', checkpoint, few, '--out', one, *options)
    launched.run(sys.executable, '-m', 'torch.distributed.run',
                 '--nproc_per_node', 2, '--master_port', launched.free_port(),
                 'tools/embed.py', checkpoint, few, '--out', two,
                 '--launcher', 'pytorch', *options)
    assert read_features(one)[0] == read_features(two)[0] == NAMES
    np.testing.assert_allclose(read_features(one)[1], read_features(two)[1],
                               atol=2e-5)
