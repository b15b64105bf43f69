"""Checkpoints that would run code, damaged files, downloads."""

import argparse
import collections
import hashlib
import importlib
import io
import os
import pickle
import runpy
import sys
import threading
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.logging import HistoryBuffer, MessageHub
from mmengine.runner.checkpoint import CheckpointLoader, load_from_local
from mmpretrain.models.backbones import ResNet

from ibot_mm.checkpoints import old_pytorch
from ibot_mm.checkpoints.for_mmengine import (
    load_from_weights_only,
    read_ahead,
    use_restricted_loader,
)
from ibot_mm.checkpoints.load import TRUST, CheckpointError, load_checkpoint
from ibot_mm.checkpoints.resume import latest_checkpoint
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.engine import StrictLoadHook
from ibot_mm.models import IBOTViT
from tests.helpers.builders import ARCH
from tests.helpers.in_process import isolated, run_tool
from tests.helpers.tiny_run import build_runner

ROOT = Path(__file__).parents[2]
NEW = hasattr(torch.serialization, 'get_unsafe_globals_in_checkpoint')


@pytest.fixture(params=['installed', 'old'] if NEW else ['installed'])
def reader(request, monkeypatch):
    """The reader for this PyTorch, and that for PyTorch before 2.6."""
    if request.param == 'old':
        monkeypatch.setattr(torch, '__version__', '2.1.2')
    return load_checkpoint


class Call:
    """Unpickling it calls a function."""

    def __init__(self, function, *args, state=None):
        self.reduced = (function, args, state)

    def __reduce__(self):
        return self.reduced


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


@pytest.mark.parametrize('zipped', [True, False])
def test_states_of_trainings_are_read(tmp_path, reader, zipped):
    hub = MessageHub('test_load')
    hub.update_scalar('train/loss', np.float64(0.5))
    state = dict(
        hub=hub.state_dict(), buffer=HistoryBuffer([1., 2.], [1, 1]),
        args=argparse.Namespace(lr=np.float64(0.1)), rate=np.float32(0.5),
        big=np.frombuffer(b'\1\2', '>i2')[0], flag=np.bool_(True),
        count=np.int64(-7), text=np.str_('ab'), shape=torch.Size([1, 2]),
        ordered=collections.OrderedDict(a=torch.ones(2)), ids={1, 2},
        counter=collections.Counter([8, 11]), half=torch.ones(1).bfloat16(),
        mask=torch.tensor([True, False]), index=torch.arange(3),
        weight=torch.nn.Parameter(torch.ones(2)), device=torch.device('cpu'),
        array=np.arange(6.).reshape(2, 3))
    path = tmp_path / 'x.pth'
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    loaded = reader(str(path))
    assert loaded['args'].lr == 0.1 and loaded['ids'] == {1, 2}
    values = [loaded[key] for key in ('rate', 'big', 'flag', 'count', 'text')]
    assert values == [0.5, 258, True, -7, 'ab']
    assert [type(v) for v in values] == [float, int, bool, int, str]
    assert loaded['counter'] == {8: 1, 11: 1} and loaded['shape'] == (1, 2)
    assert loaded['half'].dtype == torch.bfloat16
    assert loaded['mask'].tolist() == [True, False]
    assert loaded['index'].tolist() == [0, 1, 2]
    assert torch.equal(loaded['ordered']['a'], torch.ones(2))
    assert torch.equal(loaded['weight'], torch.ones(2))
    assert not isinstance(loaded['array'], np.ndarray)
    assert not isinstance(loaded['buffer'], HistoryBuffer)


def test_own_checkpoints_are_plain(tmp_path):
    """PyTorch's own reader takes them without any addition."""
    state = torch.load(trained(tmp_path), weights_only=True)
    assert state['meta']['iter'] == 6 and 'layer.weight' in state['state_dict']


RECONSTRUCT = np.array([1.]).__reduce__()[0]


@pytest.mark.parametrize('zipped', [True, False])
@pytest.mark.parametrize('value,name', [
    (Call(os.system, 'touch TRACE'), 'posix.system'),
    (Call(eval, '__import__("os").system("touch TRACE")'), 'eval'),
    (Call(getattr, HistoryBuffer, '__init__'), 'builtins.getattr'),
    (Call(getattr, collections.OrderedDict, 'fromkeys'), 'builtins.getattr'),
    (Call(partial, os.system), 'functools.partial'),
    (Path('x'), 'pathlib'),
    (np.array([None, 1], dtype=object), 'numpy.dtype'),
    (np.zeros(2, dtype=[('a', 'f4')]), 'numpy.dtype'),
    (Call(np.ndarray, (2, ), 'O8'), 'numpy.ndarray'),
])
def test_anything_else_is_rejected_and_not_called(
        tmp_path, monkeypatch, reader, value, name, zipped):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict={}, extra=[value]), path,
               _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=f'x.pth" names ".*{name}'):
        reader(str(path))
    assert not Path('TRACE').exists()


def test_arrays_are_not_built(tmp_path, reader):
    """The bytes of this one are fewer than its shape has."""
    path = str(tmp_path / 'x.pth')
    torch.save(dict(value=Call(
        RECONSTRUCT, np.ndarray, (0, ), b'b',
        state=(1, (9, ), np.dtype('f8'), False, b'\0' * 8))), path)
    assert not isinstance(reader(path)['value'], np.ndarray)


class Program(torch.nn.Module):
    """TorchScript is a program."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_programs_are_rejected(tmp_path, reader):
    path = str(tmp_path / 'x.pth')
    torch.jit.script(Program()).save(path)
    with pytest.raises(CheckpointError, match='x.pth.*TorchScript'):
        reader(path)


@pytest.mark.parametrize('name', [
    'argparse\nNamespace', 'torch._utils\n_rebuild_tensor_v2',
    'torch\nUntypedStorage', 'collections\nOrderedDict'])
def test_classes_and_functions_stay_what_they_are(tmp_path, reader, name):
    """Pickle's BUILD would set attributes of them."""
    pickled = f'\x80\x02c{name}\nN}}X\x06\0\0\0markedK\x01s\x86b.'
    pickled = pickled.encode('latin1')
    module, attribute = name.split('\n')
    target = getattr(importlib.import_module(module), attribute)
    file = io.BytesIO()
    torch.save({}, file, _use_new_zipfile_serialization=False)
    # Magic number, version and system; then the content.
    path = tmp_path / 'x.pth'
    assert file.getvalue().count(pickle.dumps({}, 2)) == 1
    path.write_bytes(file.getvalue().replace(pickle.dumps({}, 2), pickled))
    with pytest.raises(CheckpointError, match='x.pth'):
        reader(str(path))
    with pytest.raises(pickle.UnpicklingError, match='it would change'):
        old_pytorch.Unpickler(io.BytesIO(pickled)).load()
    assert not hasattr(target, 'marked')
    # What a careless reader would do; the others cannot be changed.
    if attribute in ('Namespace', '_rebuild_tensor_v2'):
        pickle.loads(pickled)
        assert target.marked == 1
        del target.marked


@pytest.mark.parametrize('content', [
    b'<!DOCTYPE html><html>not found</html>', b'PK\x03\x04 cut', b''])
def test_files_that_are_no_checkpoint(tmp_path, reader, content):
    path = tmp_path / 'page.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='page.pth'):
        reader(str(path))
    torch.save([1], path)
    with pytest.raises(CheckpointError, match='page.pth.*list'):
        reader(str(path))
    with pytest.raises(CheckpointError, match='nowhere.pth'):
        reader(str(tmp_path / 'nowhere.pth'))


def test_home_is_found(tmp_path, monkeypatch):
    torch.save(dict(a=torch.ones(1)), tmp_path / 'x.pth')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert list(load_checkpoint('~/x.pth')) == ['a']


def flip(path):
    """The exponent of a weight; PyTorch loads it."""
    content = bytearray(path.read_bytes())
    weight = torch.load(path)['patch_embed.projection.weight'].numpy()
    content[content.index(weight.tobytes()[:64]) + 3] ^= 1 << 6
    path.write_bytes(content)
    changed = torch.load(path)['patch_embed.projection.weight'].numpy()
    assert abs(changed).max() > 1e30


def vit(**init):
    model = IBOTViT(arch=ARCH, img_size=32, patch_size=8, init_cfg=dict(
        type='Pretrained', **init) if init else None)
    model.init_weights()
    return model


def test_one_bit_is_noticed(tmp_path, monkeypatch, reader):
    path = tmp_path / 'x.pth'
    state = vit().state_dict()
    torch.save(state, path)
    flip(path)
    use_restricted_loader()
    for read in (lambda: vit(checkpoint=str(path)),
                 lambda: reader(str(path), mmap=True),
                 lambda: CheckpointLoader.load_checkpoint(str(path))):
        with pytest.raises(CheckpointError, match='x.pth'):
            read()
    monkeypatch.setenv(TRUST, '1')
    loaded = vit(checkpoint=str(path)).patch_embed.projection.weight
    assert loaded.abs().max() > 1e30


@pytest.mark.parametrize('way', ['load_from', 'resume', 'latest'])
def test_runs_do_not_start_from_it(tmp_path, monkeypatch, way):
    trace = tmp_path / 'trace'
    path = trained(tmp_path, Call(os.system, f'touch {trace}'))
    work_dir = tmp_path / 'run'
    settings = dict(load_from=path, resume=way == 'resume')
    if way == 'latest':
        work_dir.mkdir()
        (work_dir / 'last_checkpoint').write_text(str(path))
        settings = dict(resume=True)
    with pytest.raises(CheckpointError, match='posix.system'):
        build_runner(work_dir, StrictLoadHook(), **settings).train()
    assert not trace.exists()
    monkeypatch.setenv(TRUST, '1')
    build_runner(work_dir, StrictLoadHook(), **settings).train()
    assert trace.exists()


def test_a_resumed_checkpoint_is_read_once(tmp_path, monkeypatch):
    path, reads = str(trained(tmp_path)), []
    load = torch.load

    def counted(file, *args, **kwargs):
        reads.append(file)
        return load(file, *args, **kwargs)

    monkeypatch.setattr(torch, 'load', counted)
    assert latest_checkpoint(str(tmp_path / 'good')).path == path
    build_runner(tmp_path / 'good', StrictLoadHook(), epochs=2, resume=True,
                 load_from=path).train()
    assert reads == [path]
    assert (tmp_path / 'good' / 'epoch_2.pth').is_file()


def test_the_config_in_a_checkpoint_is_not_executed(tmp_path):
    """MMEngine does so when it resumes."""
    path, trace = trained(tmp_path), tmp_path / 'trace'
    state = torch.load(path, weights_only=True)
    state['meta']['config'] = f'open({str(trace)!r}, "w")'
    torch.save(state, path)
    build_runner(tmp_path / 'run', StrictLoadHook(), resume=True,
                 load_from=path).train()
    assert not trace.exists()


def test_other_backbones_do_not_start_from_it(tmp_path):
    """tools/train.py replaces the loader of MMEngine, which runs code."""
    CheckpointLoader.register_scheme('', load_from_local, force=True)
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(dict(state_dict={}, extra=Call(os.system, f'touch {trace}')),
               path)
    init_cfg = dict(type='Pretrained', checkpoint='')
    cfg = Config(dict(model=dict(type='ResNet', init_cfg=init_cfg)))
    with isolated():
        sys.argv[:] = ['train.py', '', '--pretrained', str(path)]
        script = runpy.run_path(str(ROOT / 'tools' / 'train.py'))
        script['set_pretrained'](cfg, script['parse_args']())
        backbone = ResNet(18, init_cfg=cfg.model.init_cfg)
        with pytest.raises(CheckpointError, match='posix.system'):
            backbone.init_weights()
    assert not trace.exists()


@pytest.mark.cli
def test_the_command_line(tmp_path):
    path, trace = tmp_path / 'x.pth', tmp_path / 'trace'
    torch.save(dict(state_dict={}, extra=Call(os.system, f'touch {trace}')),
               path)
    command = ('test.py', 'configs/examples/ibot_vit-micro-p8_1xb64-20e_'
               'shapes.py', path)
    with pytest.raises(CheckpointError, match='x.pth.*posix.system'):
        run_tool(*command)
    assert not trace.exists()
    # The run fails at the data, which are not there.
    with pytest.raises(FileNotFoundError):
        run_tool(*command, '--trust-checkpoint')
    assert trace.exists()


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Serves a checkpoint once, and code from then on."""
    monkeypatch.setattr(torch.hub, '_hub_dir', str(tmp_path / 'hub'))
    file = io.BytesIO()
    torch.save(vit().state_dict(), file)
    trace, bad = tmp_path / 'trace', io.BytesIO()
    torch.save(dict(extra=Call(os.system, f'touch {trace}')), bad)
    answers = [file.getvalue(), bad.getvalue()]

    class Handler(BaseHTTPRequestHandler):

        def do_GET(self):
            if not self.path.endswith('.pth'):
                self.send_error(404)
                return
            content = answers.pop(0) if len(answers) > 1 else answers[0]
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    server = HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield (f'http://127.0.0.1:{server.server_port}/a/x.pth',
           hashlib.sha256(file.getvalue()).hexdigest(), trace)
    server.shutdown()
    server.server_close()


def test_an_address_is_downloaded_once(server, reader):
    address, digest, trace = server
    vit(checkpoint=f'{address}#sha256={digest}')
    vit(checkpoint=address)
    use_restricted_loader()
    assert CheckpointLoader.load_checkpoint(address)
    assert not trace.exists()
    other = address.replace('/a/', '/b/')
    with pytest.raises(CheckpointError, match='b/x.pth.*posix.system'):
        vit(checkpoint=other)
    with pytest.raises(CheckpointError, match='b/x.pth.*posix.system'):
        CheckpointLoader.load_checkpoint(other)
    assert not trace.exists()
    with pytest.raises(CheckpointError, match='x.txt.*404'):
        vit(checkpoint=address.replace('.pth', '.txt'))


def test_another_hash(server):
    address, digest, _ = server
    wrong = digest[:-1] + ('0' if digest[-1] != '0' else '1')
    with pytest.raises(CheckpointError, match=f'{wrong}.*{digest}'):
        vit(checkpoint=f'{address}#sha256={wrong}')
    # Kept, and not asked for again: the server has another file by now.
    vit(checkpoint=f'{address}#sha256={digest}')
    for fragment in ('sha256=', f'SHA256={digest}', f'sha256:{digest}'):
        with pytest.raises(CheckpointError, match=f'#{fragment}'):
            vit(checkpoint=f'{address}#{fragment}')


def test_model_zoos_are_read_alike(tmp_path, monkeypatch):
    trace = tmp_path / 'trace'
    monkeypatch.setenv('MMENGINE_HOME', str(tmp_path))
    (tmp_path / 'open_mmlab.json').write_text(
        '{"good": "good.pth", "evil": "evil.pth"}')
    torch.save(dict(x=torch.ones(2)), tmp_path / 'good.pth')
    torch.save(dict(x=Call(os.system, f'touch {trace}')),
               tmp_path / 'evil.pth')
    use_restricted_loader()
    loaded = CheckpointLoader.load_checkpoint('open-mmlab://good')
    assert loaded['x'].tolist() == [1, 1]
    for scheme in ('open-mmlab', 'openmmlab'):
        with pytest.raises(CheckpointError, match='evil.pth.*posix.system'):
            CheckpointLoader.load_checkpoint(f'{scheme}://evil')
    assert not trace.exists()


@pytest.mark.skipif(not hasattr(torch.serialization, 'safe_globals'),
                    reason='PyTorch before 2.6')
def test_what_other_packages_allow_is_not_allowed_here(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(x=Call(os.getcwd)), path)
    before = torch.serialization.get_safe_globals()
    torch.serialization.add_safe_globals([os.getcwd])
    try:
        with pytest.raises(CheckpointError, match='getcwd'):
            load_checkpoint(str(path))
        assert set(torch.serialization.get_safe_globals()) == {
            *before, os.getcwd}
    finally:
        torch.serialization.clear_safe_globals()
        torch.serialization.add_safe_globals(before)


def test_a_resumed_run_does_not_depend_on_its_file(tmp_path):
    path = tmp_path / 'x.pth'
    torch.save(dict(state_dict=dict(w=torch.arange(3.)),
                    optimizer=dict(state={0: dict(step=torch.ones(1))})), path)
    read_ahead(str(path))
    checkpoint = load_from_weights_only(str(path))
    path.write_bytes(bytes(path.stat().st_size))  # in place: same pages
    assert checkpoint['state_dict']['w'].tolist() == [0, 1, 2]
    assert checkpoint['optimizer']['state'][0]['step'].tolist() == [1]


def test_a_missing_count_of_batches_is_no_error():
    source, target = torch.nn.BatchNorm1d(2), torch.nn.BatchNorm1d(2)
    state = source.state_dict()
    del state['num_batches_tracked']
    load_strict(target, state, 'x.pth')
    assert int(target.num_batches_tracked) == 0
