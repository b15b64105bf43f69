"""Checkpoints that would run code are not read, by any way in."""

import argparse
import collections
import importlib
import io
import os
import pickle
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer, MessageHub

from ibot_mm.checkpoints.load import (
    CheckpointError,
    SafeUnpickler,
    load_checkpoint,
)
from ibot_mm.checkpoints.refuse_code import _Inspector, refuse_code
from ibot_mm.engine import StrictLoadHook
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
        args=argparse.Namespace(lr=np.float64(0.1)),
        array=np.arange(6.).reshape(2, 3), text=np.str_('ab'),
        texts=np.array(['a', 'bc']),
        ordered=collections.OrderedDict(a=torch.ones(2)), ids={1, 2},
        queue=collections.deque([1], 3),
        counter=collections.Counter([8, 11]),
        lists=collections.defaultdict(list, a=[1]), half=torch.ones(1).bfloat16())
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
                       match=f'x.pth" was not read: it names "{name}'):
        refuse_code(str(path))
    assert not Path('TRACE').exists()


class Program(torch.nn.Module):
    """TorchScript is a program of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_programs_are_refused_by_both_readers(tmp_path):
    path = str(tmp_path / 'x.pth')
    torch.jit.script(Program()).save(path)
    for read in (refuse_code, load_checkpoint):
        with pytest.raises(CheckpointError, match='TorchScript program'):
            read(path)


@pytest.mark.parametrize('reader', [SafeUnpickler, _Inspector])
@pytest.mark.parametrize('name', [
    'argparse\nNamespace', 'torch._utils\n_rebuild_tensor_v2',
    'torch\nUntypedStorage', 'collections\nOrderedDict'])
def test_classes_and_functions_stay_what_they_are(reader, name):
    """Pickle's BUILD would set attributes of them."""
    pickled = f'\x80\x02c{name}\nN}}X\x06\0\0\0markedK\x01s\x86b.'
    module, attribute = name.split('\n')
    target = getattr(importlib.import_module(module), attribute)
    with pytest.raises(CheckpointError, match='it would change'):
        reader(io.BytesIO(pickled.encode('latin1'))).load()
    assert not hasattr(target, 'marked')
    # What a careless reader would do; the others cannot be changed.
    if attribute in ('Namespace', '_rebuild_tensor_v2'):
        pickle.loads(pickled.encode('latin1'))
        assert target.marked == 1
        del target.marked


class Crafted:
    """An array whose pickle says something of its own."""

    def __init__(self, function, args, state=None):
        self.reduced = (function, args, state)

    def __reduce__(self):
        return self.reduced


RECONSTRUCT = np.array([1.]).__reduce__()[0]


@pytest.mark.parametrize('value', [
    np.array([None, 1], dtype=object),
    np.zeros(2, dtype=[('a', 'f4')]),
    Crafted(np.ndarray, ((2, ), 'O8')),
    # More or fewer bytes than the shape has.
    Crafted(RECONSTRUCT, (np.ndarray, (0, ), b'b'),
            (1, (9, ), np.dtype('f8'), False, b'\0' * 8)),
], ids=['objects', 'composed', 'called', 'size'])
def test_numpy_holds_plain_values_only(tmp_path, value):
    path = tmp_path / 'x.pth'
    torch.save(dict(value=value), path)
    with pytest.raises(CheckpointError, match='it names "numpy'):
        refuse_code(str(path))


def test_addresses_are_refused_and_home_is_found(tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match='is an address.*download it'):
        refuse_code('https://example.com/x.pth')
    torch.save(dict(a=torch.ones(1)), tmp_path / 'x.pth')
    monkeypatch.setenv('HOME', str(tmp_path))
    refuse_code('~/x.pth')


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
    with pytest.raises(CheckpointError, match='names "posix.system"'):
        build_runner(work_dir, StrictLoadHook(), **settings).train()
    assert not trace.exists()
    build_runner(work_dir, **settings).train()
    assert trace.exists()  # without the hook


def test_hosts_do_not_start_from_it(tmp_path):
    """Their classes read the file that --pretrained names as MMEngine."""
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(dict(state_dict={}, extra=Call(os.system, f'touch {trace}')),
               path)
    config = tmp_path / 'host.py'
    config.write_text("""
default_scope = 'mmpretrain'
model = dict(
    type='ImageClassifier',
    backbone=dict(type='ResNet', depth=18,
                  init_cfg=dict(type='Pretrained', checkpoint='')))
""")
    result = subprocess.run(
        [sys.executable, 'tools/train.py', config, '--pretrained', path,
         '--work-dir', tmp_path / 'run'],
        cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and not trace.exists()
    assert 'names "posix.system"' in result.stderr.splitlines()[-1]


def test_command_line_refuses_it(tmp_path):
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(dict(state_dict={}, extra=Call(os.system, f'touch {trace}')),
               path)
    result = subprocess.run(
        [sys.executable, 'tools/test.py',
         'configs/ibot/ibot_vit-quickstart_1xb64_shapes.py', path],
        cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 1 and not trace.exists()
    assert f'"{path}" was not read: it names "posix.system"' in (
        result.stderr.splitlines()[-1])
