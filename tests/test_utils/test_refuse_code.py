"""Checkpoints that would run code are not read, by any way in."""

import argparse
import collections
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from ibot_mm.engine import StrictLoadHook
from ibot_mm.utils.refuse_code import refuse_code
from ibot_mm.utils.safe_load import CheckpointError
from tests.tiny_run import build_runner

ROOT = Path(__file__).parents[2]


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def trained(folder, extra=None):
    """The checkpoint of a short training, with something added."""
    build_runner(folder / 'good', epochs=1).train()
    path = folder / 'good' / 'epoch_1.pth'
    if extra is not None:
        state = torch.load(path, weights_only=False)
        state['meta']['extra'] = extra
        path = folder / 'bad.pth'
        torch.save(state, path)
    return path


def test_states_of_trainings_are_let_in(tmp_path):
    refuse_code(str(trained(tmp_path)))
    hub = MessageHub('test_refuse_code')
    hub.update_scalar('train/loss', np.float64(0.5))
    state = dict(
        hub=hub.state_dict(), buffer=HistoryBuffer([1., 2.], [1, 1]),
        args=argparse.Namespace(lr=np.float64(0.1)), array=np.arange(3),
        ordered=collections.OrderedDict(a=torch.ones(2)), ids={1, 2},
        queue=collections.deque([1], 3), half=torch.ones(1).bfloat16())
    for zipped in (True, False):
        path = tmp_path / f'{zipped}.pth'
        torch.save(state, path, _use_new_zipfile_serialization=zipped)
        refuse_code(str(path))


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('call,name', [
    (Call(os.system, 'touch TRACE'), 'posix.system'),
    (Call(eval, '__import__("os").system("touch TRACE")'), 'builtins.eval'),
    (Call(getattr, HistoryBuffer, '__init__'), 'builtins.getattr'),
    (Call(getattr, collections.OrderedDict, 'fromkeys'), 'builtins.getattr'),
    (Call(partial, os.system), 'functools.partial'),
    (Path('x'), 'pathlib'),
])
def test_anything_else_is_refused_and_not_called(tmp_path, monkeypatch, call,
                                                 name, zipped):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, extra=[call]), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError,
                       match=f'x.pth" was not read: it would call "{name}'):
        refuse_code(str(path))
    assert not Path('TRACE').exists()


def test_missing_and_damaged_files(tmp_path):
    with pytest.raises(CheckpointError, match='no checkpoint ".*x.pth"'):
        refuse_code(str(tmp_path / 'x.pth'))
    page = tmp_path / 'page.pth'
    page.write_text('<html>not found</html>')
    with pytest.raises(CheckpointError, match='page.pth.*not a web page'):
        refuse_code(str(page))


@pytest.mark.parametrize('way', ['load_from', 'resume', 'latest'])
def test_runs_do_not_start_from_it(tmp_path, way):
    """MMEngine itself would run the code."""
    trace = tmp_path / 'trace'
    path = trained(tmp_path, Call(os.system, f'touch {trace}'))
    work_dir = tmp_path / 'run'
    settings = dict(load_from=path, resume=way == 'resume')
    if way == 'latest':
        work_dir.mkdir()
        (work_dir / 'last_checkpoint').write_text(str(path))
        settings = dict(resume=True)
    with pytest.raises(CheckpointError, match='would call "posix.system"'):
        build_runner(work_dir, StrictLoadHook(), **settings).train()
    assert not trace.exists()
    build_runner(work_dir, **settings).train()
    assert trace.exists()  # without the hook


def test_command_line_refuses_it(tmp_path):
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(dict(state_dict={}, extra=Call(os.system, f'touch {trace}')),
               path)
    result = subprocess.run(
        [sys.executable, 'tools/test.py',
         'configs/ibot/ibot_vit-quickstart_1xb64_shapes.py', path],
        cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and not trace.exists()
    assert f'"{path}" was not read: it would call "posix.system"' in (
        result.stderr.splitlines()[-1])
