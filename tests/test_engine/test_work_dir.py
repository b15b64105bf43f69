"""A work directory belongs to one run."""

import os
from pathlib import Path

import pytest

from ibot_mm.engine.work_dir import WorkDirError, archive_run, require_unused
from tests.helpers.tiny_run import build_runner


def fill(folder, *names):
    for name in names:
        (folder / name).write_text(name)


@pytest.mark.parametrize('names', [
    [], ['pretrained.pth'], ['events.txt', 'tiny.py'],
    ['epoch_9_backbone-01234567.pth']])
def test_other_files_do_not_matter(tmp_path, names):
    fill(tmp_path, *names)
    require_unused(str(tmp_path))
    require_unused(str(tmp_path / 'none'))


def test_checkpoints_of_a_run_are_named(tmp_path):
    for number in (1, 2, 10):
        fill(tmp_path, f'epoch_{number}.pth')
        os.utime(tmp_path / f'epoch_{number}.pth', (number, number))
    (tmp_path / 'last_checkpoint').write_text('gone.pth')
    with pytest.raises(WorkDirError, match=r'its last checkpoint: epoch_10'):
        require_unused(str(tmp_path))
    (tmp_path / 'last_checkpoint').write_text(f'{tmp_path}/epoch_1.pth')
    with pytest.raises(WorkDirError, match=r'its last checkpoint: epoch_1.*'
                       '--resume.*--work-dir.*--fresh-start'):
        require_unused(str(tmp_path))


def test_nothing_is_lost_when_a_run_is_archived(tmp_path):
    names = ['epoch_1.pth', 'last_checkpoint', 'bad_files.txt',
             'last_good.pth']
    fill(tmp_path, *names, 'tiny.py')
    for folder, file in (('nonfinite', 'rank0.txt'),
                         ('pictures', 'strip.png')):
        (tmp_path / folder).mkdir()
        fill(tmp_path / folder, file)
    archive_run(str(tmp_path), 'earlier_1')
    require_unused(str(tmp_path))
    moved = tmp_path / 'earlier_1'
    assert {p.name for p in moved.iterdir()} == {
        *names, 'nonfinite', 'pictures'}
    assert (moved / 'epoch_1.pth').read_text() == 'epoch_1.pth'
    assert (moved / 'nonfinite' / 'rank0.txt').is_file()
    assert (moved / 'pictures' / 'strip.png').is_file()
    assert {p.name for p in tmp_path.iterdir()} == {'earlier_1', 'tiny.py'}
    archive_run(str(tmp_path), 'earlier_2')
    assert not (tmp_path / 'earlier_2').exists()


def test_the_hook_rejects_it_in_any_run(tmp_path):
    build_runner(tmp_path, epochs=1).train()
    before = Path(tmp_path, 'epoch_1.pth').read_bytes()
    with pytest.raises(WorkDirError, match='already holds a run'):
        build_runner(tmp_path, epochs=2).train()
    assert Path(tmp_path, 'epoch_1.pth').read_bytes() == before
    build_runner(tmp_path, epochs=2, resume=True).train()
    assert (tmp_path / 'epoch_2.pth').is_file()
