"""A machine with a GPU that PyTorch cannot use."""

import pytest
import torch
from mmengine.config import Config

from ibot_mm.distributed import device
from ibot_mm.distributed.launch import prepare_launch

# First lines of /proc/driver/nvidia/version, of the two kinds of driver.
PROPRIETARY = ('NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.104.05  '
               'Sat Aug 19 01:15:15 UTC 2023\nGCC version:  gcc 12.2.0\n')
OPEN = ('NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  '
        'Release Build  (dvs-builder@U16)\nGCC version:  gcc 12.2.0\n')
REASON = 'The NVIDIA driver on your system is too old (found version 12020).'


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine with a driver that CUDA cannot use."""

    def fail():
        raise RuntimeError(REASON)

    monkeypatch.delenv('CUDA_VISIBLE_DEVICES', raising=False)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    monkeypatch.setattr(torch.cuda, 'init', fail)
    monkeypatch.setattr(device, 'DRIVER', tmp_path / 'version')
    monkeypatch.setattr(device, 'DEVICE', tmp_path / 'nvidiactl')
    (tmp_path / 'version').write_text(PROPRIETARY)
    return tmp_path


@pytest.mark.parametrize('launcher', ['none', 'pytorch', 'slurm'])
def test_it_is_an_error_that_names_driver_and_build(machine, launcher):
    with pytest.raises(RuntimeError) as error:
        prepare_launch(Config(dict(launcher=launcher)))
    for part in ('535.104.05', torch.__version__, str(torch.version.cuda),
                 'too old', 'CUDA_VISIBLE_DEVICES='):
        assert part in str(error.value)


def test_builds_without_cuda_and_other_drivers(machine, monkeypatch):
    monkeypatch.setattr(torch.version, 'cuda', None)
    (machine / 'version').write_text(OPEN)
    with pytest.raises(RuntimeError, match='570.86.15.* without CUDA'):
        device.require_usable_gpu()
    (machine / 'version').unlink()
    (machine / 'nvidiactl').touch()
    with pytest.raises(RuntimeError, match='unknown'):
        device.require_usable_gpu()


@pytest.mark.parametrize('value', ['', '-1'])
def test_a_cpu_that_was_asked_for(machine, monkeypatch, value):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', value)
    prepare_launch(Config(dict(launcher='none')))


def test_hidden_devices_are_not_a_wish_for_the_cpu(machine, monkeypatch):
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', 'NoDevFiles')
    with pytest.raises(RuntimeError, match='535'):
        device.require_usable_gpu()


def test_machines_without_a_gpu_and_with_a_usable_one(machine, monkeypatch):
    (machine / 'version').unlink()
    prepare_launch(Config(dict(launcher='none')))
    (machine / 'version').write_text(PROPRIETARY)
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    prepare_launch(Config(dict(launcher='none')))
