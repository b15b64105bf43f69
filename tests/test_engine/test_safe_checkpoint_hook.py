"""Checkpoints survive full disks and killed processes."""

import os
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from mmengine.fileio import BaseStorageBackend, FileClient, register_backend

from ibot_mm.checkpoints.for_mmengine import load_from_weights_only
from ibot_mm.checkpoints.resume import latest_checkpoint
from tests.helpers.tiny_run import At, build_runner, checkpoints, log_of

ROOT = Path(__file__).parents[2]


def record(work_dir):
    return Path((work_dir / 'last_checkpoint').read_text()).name


def limit_files(size):
    """Let files grow to ``size`` bytes only; more is an OSError."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))


@pytest.fixture(autouse=True)
def no_limit():
    yield
    limit_files(resource.RLIM_INFINITY)


def short_of_space(point, first, last, **kwargs):
    """Hooks between whose steps no checkpoint can be written to its end."""
    return (At(point, first, lambda runner: limit_files(60_000), **kwargs),
            At(point, last, lambda runner: limit_files(-1), **kwargs))


def load(path):
    return torch.load(path, weights_only=False)


def saved_info(checkpoint):
    """What the hook knows about its files; folders left out."""
    info = checkpoint['message_hub']['runtime_info']
    return {
        key: Path(value).name if isinstance(value, str) else value
        for key, value in info.items()
        if key.startswith(('keep', 'last', 'best', 'interim')) and value
    }


SCORES = [dict(acc=s, loss=s) for s in (1., 3., 2., 4.)]


@pytest.mark.parametrize('settings', [
    dict(),
    dict(checkpoint=dict(interval=2, max_keep_ckpts=1, save_last=True)),
    dict(checkpoint=dict(max_keep_ckpts=2, save_best='acc'), scores=SCORES),
    dict(checkpoint=dict(max_keep_ckpts=1, save_best='auto',
                         published_keys=['state_dict']), scores=SCORES),
    dict(checkpoint=dict(interval=3, save_best=['acc', 'loss'],
                         filename_tmpl='at_{}.pth'), scores=SCORES),
    dict(checkpoint=dict(interval=4, max_keep_ckpts=2, save_best='acc',
                         save_begin=5), scores=SCORES, by_epoch=False),
    dict(checkpoint=dict(save_optimizer=False, save_param_scheduler=False,
                         interval=3, save_last=False)),
])
def test_same_files_as_mmengine(tmp_path, settings):
    """Names, contents and what the next start finds in them."""
    ours, theirs = tmp_path / 'ours' / 'run', tmp_path / 'theirs' / 'run'
    build_runner(ours, epochs=4, **settings).train()
    settings = dict(settings, checkpoint=dict(
        settings.get('checkpoint', {}), type='CheckpointHook'))
    build_runner(theirs, epochs=4, **settings).train()
    assert record(ours) == record(theirs)
    names = [name.rsplit('-')[0] for name in checkpoints(theirs)]
    assert [name.rsplit('-')[0] for name in checkpoints(ours)] == names
    for a, b in zip(sorted(ours.glob('*.pth')), sorted(theirs.glob('*.pth'))):
        a, b = load(a), load(b)
        assert set(a) == set(b)
        if 'meta' not in a:
            continue
        for key in ('epoch', 'iter'):
            assert a['meta'][key] == b['meta'][key]
        assert saved_info(a) == saved_info(b)


def test_a_full_disk_costs_no_checkpoint(tmp_path):
    """Written half-way in epochs 2 and 3; the training is not disturbed."""
    seen = []
    build_runner(
        tmp_path / 'a',
        *short_of_space('before_train_epoch', 1, 3),
        At('before_train_epoch', 3, lambda runner: seen.append(
            (checkpoints(tmp_path / 'a'), record(tmp_path / 'a')))),
        epochs=4,
        checkpoint=dict(max_keep_ckpts=1)).train()
    assert seen == [(['epoch_1.pth'], 'epoch_1.pth')]
    assert checkpoints(tmp_path / 'a') == ['epoch_4.pth']
    assert record(tmp_path / 'a') == 'epoch_4.pth'
    errors = [line for line in log_of(tmp_path / 'a').splitlines()
              if 'ERROR' in line]
    assert len(errors) == 2
    assert f'"{tmp_path}/a/epoch_2.pth"' in errors[0]
    assert 'File too large' in errors[0]
    build_runner(tmp_path / 'b', epochs=4).train()
    a, b = (load(tmp_path / run / 'epoch_4.pth') for run in 'ab')
    for name, value in a['state_dict'].items():
        assert torch.equal(value, b['state_dict'][name])
    assert a['message_hub']['runtime_info']['keep_ckpt_ids'] == [4]


@contextmanager
def small_disk(path, size):
    path.mkdir()
    mount = ['mount', '-t', 'tmpfs', '-o', f'size={size}', 'tmpfs', str(path)]
    if os.geteuid() != 0 or subprocess.run(
            mount, capture_output=True).returncode:
        pytest.skip('a small disk needs the right to mount one')
    try:
        yield path
    finally:
        subprocess.run(['umount', str(path)], check=True)


def test_a_disk_that_is_full(tmp_path):
    """A real one, with room for the first checkpoint only."""
    with small_disk(tmp_path / 'disk', '200k') as disk:
        with pytest.raises(RuntimeError) as error:
            build_runner(
                tmp_path / 'run', checkpoint=dict(out_dir=str(disk))).train()
        assert checkpoints(disk / 'run') == ['epoch_1.pth']
        assert record(tmp_path / 'run') == 'epoch_1.pth'
        path = latest_checkpoint(str(tmp_path / 'run')).path
        assert path == str(disk / 'run' / 'epoch_1.pth')
        # As a Runner does; the file is mapped until then.
        assert load_from_weights_only(path)['meta']['epoch'] == 1
        log = log_of(tmp_path / 'run')
        assert log.count('No space left on device') == 2
        # The end of the training is not reported as a success.
        assert f'"{disk}/run/epoch_3.pth"' in str(error.value)
        assert f'"{disk}/run/epoch_1.pth"' in str(error.value)


def test_best_checkpoints_are_replaced_by_complete_ones(tmp_path):
    """The best of epoch 3 fails: its score does not count, nor do files."""
    scores = [dict(acc=s) for s in (1., 2., 4., 3.)]
    seen = []

    def look(runner):
        info = runner.message_hub.runtime_info
        seen.append((checkpoints(tmp_path), info['best_score'],
                     Path(info['best_ckpt']).name))

    # Between the checkpoint of the epoch and the best one.
    build_runner(
        tmp_path,
        *short_of_space('before_val_epoch', 3, 4),
        At('after_val_epoch', 3, look, 'LOWEST'),
        epochs=4,
        scores=scores,
        checkpoint=dict(max_keep_ckpts=1, save_best='acc')).train()
    assert seen == [(['best_acc_epoch_2.pth', 'epoch_3.pth'], 2.,
                     'best_acc_epoch_2.pth')]
    assert checkpoints(tmp_path) == ['best_acc_epoch_4.pth', 'epoch_4.pth']
    info = load(tmp_path / 'epoch_4.pth')['message_hub']['runtime_info']
    assert info['best_score'] == 3.
    assert Path(info['best_ckpt']).name == 'best_acc_epoch_4.pth'


def test_one_of_several_best_checkpoints_fails(tmp_path):
    """None of them counts, and none is left over."""
    def allow_one(runner):
        save, names = runner.save_checkpoint, []

        def save_one(out_dir, filename, *args, **kwargs):
            names.append(filename)
            limit_files(60_000 if len(names) > 1 else -1)
            return save(out_dir, filename, *args, **kwargs)

        runner.save_checkpoint = save_one

    runner = build_runner(
        tmp_path,
        At('before_val_epoch', 2, allow_one),
        epochs=2,
        scores=[dict(acc=s, top=s) for s in (1., 2.)],
        checkpoint=dict(save_best=['acc', 'top'], max_keep_ckpts=1))
    with pytest.raises(RuntimeError, match='best_top_epoch_2.pth'):
        runner.train()
    assert checkpoints(tmp_path) == [
        'best_acc_epoch_1.pth', 'best_top_epoch_1.pth', 'epoch_2.pth']


def test_last_checkpoint_cannot_be_written(tmp_path):
    """The new file stays, and so do those before it, until it can be."""
    path = tmp_path / 'last_checkpoint'
    seen = []

    def block(runner):
        path.unlink()
        path.mkdir()

    def free(runner):
        seen.append(checkpoints(tmp_path))
        path.rmdir()

    build_runner(
        tmp_path,
        At('before_train_epoch', 1, block),
        At('before_train_epoch', 2, free),
        checkpoint=dict(max_keep_ckpts=1)).train()
    assert seen == [['epoch_1.pth', 'epoch_2.pth']]
    assert checkpoints(tmp_path) == ['epoch_3.pth']
    assert f'"{path}"' in log_of(tmp_path)


KILLED_WHILE_WRITING = '''
import os, signal, sys

from ibot_mm.checkpoints import atomic_write
from tests.helpers.tiny_run import build_runner
sync, synced = atomic_write._sync, []
def kill(path):
    synced.append(path)
    if 'epoch_2.pth' in path.name:
        os.kill(os.getpid(), signal.SIGKILL)
    sync(path)
atomic_write._sync = kill
build_runner(sys.argv[1], checkpoint=dict(max_keep_ckpts=1)).train()
'''


@pytest.mark.cli
def test_killed_while_writing(tmp_path):
    result = subprocess.run(
        [sys.executable, '-c', KILLED_WHILE_WRITING, str(tmp_path)],
        cwd=ROOT, capture_output=True)
    assert result.returncode == -signal.SIGKILL
    assert checkpoints(tmp_path) == ['epoch_1.pth', 'epoch_2.pth.incomplete']
    assert record(tmp_path) == 'epoch_1.pth'
    latest = latest_checkpoint(str(tmp_path))
    assert latest == (f'{tmp_path}/epoch_1.pth', {})
    build_runner(tmp_path, resume=True, load_from=latest.path,
                 checkpoint=dict(max_keep_ckpts=1)).train()
    assert checkpoints(tmp_path) == ['epoch_3.pth']


def test_backends_of_mmengine(tmp_path):
    files = {}

    @register_backend('remote_test', prefixes='remotetest', force=True)
    class Remote(BaseStorageBackend):
        """Keeps files in a dict."""

        def get(self, filepath):
            return files[filepath]

        get_text = get

        def put(self, obj, filepath):
            files[filepath] = obj

        def join_path(self, *parts):
            return '/'.join(parts)

        def isfile(self, filepath):
            return filepath in files

        def remove(self, filepath):
            del files[filepath]

        @contextmanager
        def get_local_path(self, filepath):
            copy = tmp_path / 'copy.pth'
            copy.write_bytes(files[filepath])
            yield copy

    FileClient.register_backend(
        'remote_test', Remote, prefixes='remotetest', force=True)
    build_runner(
        tmp_path / 'run',
        checkpoint=dict(out_dir='remotetest://bucket',
                        max_keep_ckpts=2)).train()
    assert sorted(files) == [
        f'remotetest://bucket/run/epoch_{i}.pth' for i in (2, 3)]
    last = (tmp_path / 'run' / 'last_checkpoint').read_text()
    assert last == 'remotetest://bucket/run/epoch_3.pth'
    assert latest_checkpoint(str(tmp_path / 'run')).path == last
    build_runner(tmp_path / 'run', epochs=4, resume=True, load_from=last,
                 checkpoint=dict(out_dir='remotetest://bucket')).train()
    assert 'remotetest://bucket/run/epoch_4.pth' in files
    assert 'resumed epoch: 3' in log_of(tmp_path / 'run')


def test_a_second_name_keeps_its_content(tmp_path):
    """As last_good.pth: epoch_1.pth is saved again, with its best score."""
    link = At('after_train_epoch', 0, lambda runner: os.link(
        tmp_path / 'epoch_1.pth', tmp_path / 'last_good.pth'), 'LOWEST')
    build_runner(tmp_path, link, epochs=1, scores=[dict(acc=1.)],
                 checkpoint=dict(save_best='acc')).train()
    assert saved_info(load(tmp_path / 'epoch_1.pth'))['best_score'] == 1.
    assert 'best_score' not in saved_info(load(tmp_path / 'last_good.pth'))
