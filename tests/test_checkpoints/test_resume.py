"""Which checkpoint a run resumes from when some are damaged."""

import importlib.util
import os
import sys
import zipfile
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from ibot_mm.checkpoints import resume as module
from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.resume import (
    latest_checkpoint,
    recorded_checkpoint,
    require_same_on_all_ranks,
    verify_checkpoint,
)

ROOT = Path(__file__).parents[2]


def save(folder, name, iteration, **changes):
    """A checkpoint of a training; a change to None leaves a part out."""
    state = dict(
        meta=dict(epoch=0, iter=iteration),
        state_dict=dict(weight=torch.rand(1000)),
        message_hub=dict(),
        optimizer=dict(exp_avg=torch.rand(1000)))
    state.update(changes)
    path = folder / name
    torch.save({k: v for k, v in state.items() if v is not None}, path)
    return path


def point_to(path, folder=None):
    ((folder or path.parent) / 'last_checkpoint').write_text(str(path))


@pytest.fixture
def work_dir(tmp_path):
    """Three checkpoints, the last one recorded, and other files."""
    for i in (1, 2, 10):
        path = save(tmp_path, f'epoch_{i}.pth', 6 * i)
    point_to(path)
    save(tmp_path, 'best_acc_epoch_4.pth', 99, optimizer=None)
    torch.save(dict(state_dict={}), tmp_path / 'backbone.pth')
    torch.save([1, 2], tmp_path / 'list.pth')
    (tmp_path / 'epoch_11.pth.incomplete').write_bytes(b'PK')
    return tmp_path


def truncate(path):
    os.truncate(path, path.stat().st_size // 2)


def flip(path):
    """A bit of a tensor; PyTorch would not notice."""
    content = bytearray(path.read_bytes())
    content[content.index(torch.load(path)['state_dict']['weight'].numpy()
                          .tobytes()[:64])] ^= 1
    path.write_bytes(content)
    torch.load(path)


def zero(path):
    """As some file systems do after a power failure."""
    path.write_bytes(bytes(path.stat().st_size))


def without_contents(path):
    """A ZIP file, but no checkpoint."""
    with zipfile.ZipFile(path, 'w') as archive:
        archive.writestr('archive/readme', 'nothing')


def empty(path):
    path.write_bytes(b'')


DAMAGES = [truncate, flip, zero, without_contents, empty, os.unlink]


def test_the_recorded_one_is_taken(work_dir):
    path = work_dir / 'epoch_2.pth'
    point_to(path)
    found = latest_checkpoint(str(work_dir))
    assert found == (str(path), {}) and found.warning == ''


@pytest.mark.parametrize('damage', DAMAGES)
def test_the_one_before_a_damaged_one(work_dir, damage):
    """By iterations: names would put 10 before 2."""
    damage(work_dir / 'epoch_10.pth')
    found = latest_checkpoint(str(work_dir))
    assert found.path == str(work_dir / 'epoch_2.pth')
    assert f'"{work_dir}/epoch_10.pth"' in found.warning
    assert found.path in found.warning
    truncate(work_dir / 'epoch_2.pth')
    found = latest_checkpoint(str(work_dir))
    assert found.path == str(work_dir / 'epoch_1.pth')
    assert 'epoch_2.pth' in found.warning


@pytest.mark.parametrize('record', [None, ''])
def test_without_a_record_the_newest_one(work_dir, record):
    """Killed before it was written, or by MMEngine while it was."""
    (work_dir / 'last_checkpoint').unlink()
    if record is not None:
        (work_dir / 'last_checkpoint').write_text(record)
    found = latest_checkpoint(str(work_dir))
    assert found.path == str(work_dir / 'epoch_10.pth')


def test_a_work_dir_that_was_moved(work_dir, tmp_path_factory):
    new = tmp_path_factory.mktemp('other') / 'run'
    work_dir.rename(new)
    assert recorded_checkpoint(str(new)) == str(new / 'epoch_10.pth')
    assert latest_checkpoint(str(new)).path == str(new / 'epoch_10.pth')


def test_checkpoints_in_another_folder(tmp_path):
    """As out_dir of CheckpointHook says."""
    out, work_dir = tmp_path / 'out', tmp_path / 'run'
    out.mkdir()
    work_dir.mkdir()
    save(out, 'epoch_1.pth', 6)
    path = save(out, 'epoch_2.pth', 12)
    point_to(path, work_dir)
    truncate(path)
    assert latest_checkpoint(str(work_dir)).path == str(out / 'epoch_1.pth')


def test_none_is_left(work_dir):
    names = [f'epoch_{i}.pth' for i in (1, 2, 10)]
    for name in names:
        truncate(work_dir / name)
    with pytest.raises(CheckpointError) as error:
        latest_checkpoint(str(work_dir))
    message = str(error.value)
    assert 'has no checkpoint to resume' in message
    assert all(name in message for name in names)


def test_there_are_none_at_all(tmp_path):
    assert latest_checkpoint(str(tmp_path)) == (None, {})
    assert latest_checkpoint(str(tmp_path / 'nowhere')) == (None, {})


@pytest.mark.parametrize('damage', DAMAGES)
def test_a_damaged_file_is_rejected(work_dir, damage):
    path = work_dir / 'epoch_10.pth'
    verify_checkpoint(str(path))
    damage(path)
    with pytest.raises(CheckpointError, match=f'"{path}"'):
        verify_checkpoint(str(path))


def test_weights_are_not_a_training(work_dir):
    with pytest.raises(CheckpointError, match='backbone.pth'):
        verify_checkpoint(str(work_dir / 'backbone.pth'))


def test_all_processes_take_the_same_file(monkeypatch):
    require_same_on_all_ranks('a.pth')
    monkeypatch.setattr(module, 'all_gather_object',
                        lambda path: [path, None])
    with pytest.raises(CheckpointError, match='different checkpoints'):
        require_same_on_all_ranks('a.pth')


def merge(monkeypatch, work_dir, *args):
    """Config and find of ``tools/train.py`` for a command line."""
    spec = importlib.util.spec_from_file_location('train_script',
                                                  ROOT / 'tools' / 'train.py')
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    monkeypatch.setattr(sys, 'argv', ['train.py', 'config.py', *map(str, args),
                                      '--work-dir', str(work_dir)])
    cfg = Config(dict(
        load_from='start.pth', resume=False, model=dict(
            init_cfg=dict(type='Pretrained', checkpoint=''))))
    return cfg, script.merge_args(cfg, script.parse_args())


def test_command_line(monkeypatch, work_dir, tmp_path_factory):
    fresh = tmp_path_factory.mktemp('fresh')
    newest, other = work_dir / 'epoch_10.pth', work_dir / 'epoch_1.pth'
    cfg, found = merge(monkeypatch, work_dir, '--resume')
    assert (cfg.resume, cfg.load_from) == (True, str(newest))
    assert found == (str(newest), {})
    cfg, _ = merge(monkeypatch, fresh, '--resume', other)
    assert (cfg.resume, cfg.load_from) == (True, str(other))
    assert cfg.model.init_cfg is None
    # Nothing to resume: the start of the config.
    for args in ([], ['--resume']):
        cfg, found = merge(monkeypatch, fresh, *args)
        assert (cfg.resume, cfg.load_from) == (False, 'start.pth')
        assert found == (None, {})
    truncate(newest)
    cfg, found = merge(monkeypatch, work_dir, '--resume')
    assert cfg.load_from == str(work_dir / 'epoch_2.pth')
    assert str(newest) in found.warning
    with pytest.raises(CheckpointError, match=str(newest)):
        merge(monkeypatch, work_dir, '--resume', newest)
