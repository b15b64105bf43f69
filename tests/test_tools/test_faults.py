"""What clusters and data do to a training, and what it makes of it."""

import re
import shutil
import sys

import cv2
import numpy as np
import pytest
import torch

from tests.helpers import launched
from tests.helpers.in_process import train


@pytest.fixture(scope='module')
def config(shapes, tmp_path_factory):
    """Trainings that import the faults."""
    path = launched.write_config(tmp_path_factory.mktemp('config'), shapes)
    path.write_text(path.read_text() + '''
custom_imports = dict(imports=['ibot_mm', 'tests.helpers.faults'],
                      allow_failed_imports=False)
train_cfg = dict(max_epochs=3, val_interval=100)
''')
    return path


def variant(config, tmp_path, text):
    """A config of its own that inherits one."""
    path = tmp_path / 'variant.py'
    path.write_text(f"_base_ = ['{config}']\n{text}\n")
    return path


def fault(**settings):
    return f"custom_hooks = [dict(type='ibot_mm.FaultHook', **{settings})]"


def broken_run(config, work_dir, processes=1):
    """Output of a training that fails, in processes of its own."""
    launcher = [sys.executable, 'tools/train.py', config]
    if processes > 1:
        launcher = ['bash', 'tools/dist_train.sh', config, processes]
    return launched.run(*launcher, '--work-dir', work_dir, code=1,
                        PYTHONPATH=str(launched.ROOT))


POISON = '''
train_pipeline = _base_.train_pipeline
train_pipeline.insert(2, dict(type='ibot_mm.PoisonCrops', names={names}))
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
'''


@pytest.mark.parametrize('processes', [
    1, pytest.param(2, marks=pytest.mark.slow)])
def test_a_batch_that_is_not_finite_is_left_out_and_told(
        config, shapes, tmp_path, processes):
    """One image of 48 spoils its batch in each of the three epochs."""
    name = min(path.name for path in shapes.glob('train/*/*'))
    poisoned = variant(config, tmp_path, POISON.format(names=[name]))
    work_dir = tmp_path / 'run'
    output = train(poisoned, work_dir, processes=processes)
    assert 'skipped optimizer steps so far: 3' in output
    state = torch.load(work_dir / 'epoch_3.pth', weights_only=False)
    assert all(v.isfinite().all() for v in state['state_dict'].values())
    reports = [path.read_text() for path in sorted(
        (work_dir / 'nonfinite').glob('rank*.txt'))]
    assert [r.count('iteration') for r in reports] == [3] * processes
    assert [r.count(name) for r in reports] == [
        r.count('loss nan') for r in reports]
    assert sum(r.count(name) for r in reports) == 3
    report = reports[0]
    # The state that was kept begins with the batch of the first skip.
    first = int(re.search(r'iteration (\d+)', report).group(1))
    replay = tmp_path / 'replay'
    output = train(poisoned, replay, '--resume',
                   work_dir / 'nonfinite' / 'state.pth', processes=processes)
    again = (replay / 'nonfinite' / 'rank0.txt').read_text()
    assert again == report
    epoch = (first - 1) * processes // 12
    assert f'resumed epoch: {epoch}, iter: {first - 1}' in output


def test_a_data_worker_that_is_killed_is_named(config, tmp_path):
    broken = variant(config, tmp_path, fault(fault='worker', iteration=4))
    output = broken_run(broken, tmp_path / 'run')
    last = output.strip().splitlines()[-1]
    assert re.search(r'DataWorkerError: .* \d+ of rank 0 .*: Killed', last)


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['error', 'killed'])
def test_a_rank_that_dies_ends_the_other(config, tmp_path, kind):
    """Its own traceback comes first."""
    broken = variant(config, tmp_path,
                     fault(fault=kind, iteration=7, rank=1))
    # Within the limit of ``launched.run``; Gloo alone would wait for longer.
    output = broken_run(broken, tmp_path / 'run', processes=2)
    if kind == 'error':
        before, _, _ = output.partition('ArithmeticError: this rank')
        assert before.count('Traceback') == 1
        # torchrun's own summary names it, too; of two failures in the same
        # second, either may count as the root cause.
        summary = output[output.index('Failures:'):]
        assert 'this rank has failed' in summary and 'rank      : 1' in summary
    else:
        cause = output[output.index('Root Cause'):]
        assert 'rank      : 1' in cause and 'Signal 9 (SIGKILL)' in cause


@pytest.mark.slow
def test_many_bad_files_are_listed_once(config, shapes, tmp_path):
    """5 % of a data set: empty, truncated, text, and unreadable ones."""
    data = tmp_path / 'Bilder ü' / 'imagenet'
    shutil.copytree(shapes, data)
    files = sorted(data.glob('train/*/*'))
    assert len(files) == 48
    rng = np.random.default_rng(0)
    for i in range(112):  # 160 in all
        image = rng.integers(0, 255, (40, 40, 3), np.uint8)
        cv2.imwrite(str(files[0].parent / f'more {i}.jpg'), image)
    extra = sorted(files[0].parent.glob('more*'))
    extra[0].write_bytes(b'')
    extra[1].write_bytes(b'')
    for path in extra[2:4]:
        path.write_bytes(path.read_bytes()[:-200])
    extra[4].write_text('<html>404</html>')
    extra[5].write_text('x' * 1000)
    for path in extra[6:8]:  # an error of the disk, for root too
        path.unlink()
        path.symlink_to('/proc/self/mem')
    # A PNG that is called JPEG is no bad file.
    png = cv2.imencode('.png', rng.integers(0, 255, (40, 40, 3), np.uint8))[1]
    extra[8].write_bytes(png.tobytes())
    bad = {str(path) for path in extra[:8]}
    before = sorted(data.rglob('*'))
    work_dir = tmp_path / 'Läufe 1' / 'run'
    mine = variant(config, tmp_path, f'''
loader = dict(dataset=dict(data_root={str(data)!r}))
train_dataloader = loader
train_cfg = dict(max_epochs=2)
''')
    output = train(mine, work_dir)
    lines = (work_dir / 'bad_files.txt').read_text().splitlines()
    assert sorted(line.split('\t')[0] for line in lines) == sorted(bad)
    for path in bad:
        assert len(re.findall(re.escape(path) + ' ', output)) == 1
    assert '8 bad files were replaced' in output
    assert str(work_dir / 'bad_files.txt') in output
    # Reading data leaves no trace in its folder.
    assert sorted(data.rglob('*')) == before
