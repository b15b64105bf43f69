"""The rendezvous of srun and torchrun, with or without GPUs."""

import os

import pytest
import torch
from mmengine.config import Config

from ibot_mm import config_path
from ibot_mm.distributed.launch import prepare_launch
from tests.helpers.launched import free_port

SLURM = dict(
    SLURM_JOB_ID='1234567',
    SLURM_STEP_ID='2',
    SLURM_PROCID='5',
    SLURM_NTASKS='8',
    SLURM_LOCALID='1',
    SLURM_NODELIST='a[1-4]',
    SLURM_STEP_NODELIST='a[2-3]')


@pytest.fixture(autouse=True)
def environ(monkeypatch, tmp_path):
    """A job step with a ``scontrol`` that knows its nodes; no GPU."""
    before = dict(os.environ)
    for name in ('MASTER_ADDR', 'MASTER_PORT'):
        os.environ.pop(name, None)
    scontrol = tmp_path / 'scontrol'
    scontrol.write_text('#!/bin/sh\n[ "$*" = "show hostnames a[2-3]" ] && '
                        'printf "a2\\na3\\n"\n')
    scontrol.chmod(0o755)
    os.environ.update(SLURM, PATH=f'{tmp_path}:{os.environ["PATH"]}',
                      CUDA_VISIBLE_DEVICES='')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    yield os.environ
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def groups(monkeypatch):
    """Process groups that were asked for."""
    asked = []
    monkeypatch.setattr(torch.distributed, 'init_process_group',
                        lambda **kwargs: asked.append(kwargs))
    return asked


def test_srun_says_who_and_where(environ, groups):
    prepare_launch(Config(dict(launcher='slurm')))
    assert (environ['RANK'], environ['WORLD_SIZE'],
            environ['LOCAL_RANK']) == ('5', '8', '1')
    assert environ['MASTER_ADDR'] == 'a2'
    assert groups == [dict(backend='gloo')]


def test_steps_and_jobs_have_different_ports(environ, groups):
    ports = set()
    for job in ('1234567', '1234568'):
        for step in ('0', '1'):
            environ.pop('MASTER_PORT', None)
            environ.update(SLURM_JOB_ID=job, SLURM_STEP_ID=step)
            prepare_launch(Config(dict(launcher='slurm')))
            ports.add(int(environ['MASTER_PORT']))
    assert len(ports) == 4
    # Below those that Linux gives to outgoing connections.
    assert all(1024 < port < 32768 for port in ports)


def test_settings_of_the_user_stay(environ, groups):
    environ.update(MASTER_ADDR='10.0.0.1', MASTER_PORT='12345',
                   SLURM_STEP_NODELIST='unknown')
    prepare_launch(Config(dict(launcher='slurm')))
    assert environ['MASTER_ADDR'] == '10.0.0.1'
    assert environ['MASTER_PORT'] == '12345'


def test_with_a_gpu_only_the_rendezvous_is_set(environ, groups, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    cfg = Config(dict(launcher='slurm'))
    prepare_launch(cfg)
    assert environ['MASTER_ADDR'] == 'a2' and environ['MASTER_PORT']
    assert not groups and 'model_wrapper_cfg' not in cfg


def test_unused_parameters_are_found_in_a_configured_wrapper(
        environ, groups, monkeypatch):
    """MMEngine would ignore the setting beside ``model_wrapper_cfg``."""
    cfg = Config.fromfile(config_path(
        'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'))
    cfg.launcher, cfg.find_unused_parameters = 'pytorch', True
    for gpu in (True, False):
        monkeypatch.setattr(torch.cuda, 'is_available', lambda gpu=gpu: gpu)
        prepare_launch(cfg)
        assert cfg.model_wrapper_cfg['find_unused_parameters']
        assert cfg.model_wrapper_cfg['gradient_as_bucket_view']
        assert not cfg.model_wrapper_cfg['broadcast_buffers']
        assert ('device_ids' in cfg.model_wrapper_cfg) != gpu


@pytest.mark.parametrize('visible,index', [(1, '0'), (8, '1')])
def test_a_task_that_sees_a_single_gpu_uses_it(environ, groups, monkeypatch,
                                               visible, index):
    """Its number, to MMEngine, is SLURM_LOCALID."""
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: visible)
    prepare_launch(Config(dict(launcher='slurm')))
    assert environ['LOCAL_RANK'] == environ['SLURM_LOCALID'] == index
    assert environ['RANK'] == '5'


def test_a_group_of_one(environ):
    """What MMEngine's Runner then finds, and does not start again."""
    environ.update(SLURM_PROCID='0', SLURM_NTASKS='1', SLURM_LOCALID='0',
                   MASTER_ADDR='127.0.0.1', MASTER_PORT=str(free_port()))
    cfg = Config(dict(launcher='slurm', find_unused_parameters=True,
                      env_cfg=dict(dist_cfg=dict(timeout=60))))
    prepare_launch(cfg)
    try:
        assert torch.distributed.get_backend() == 'gloo'
        assert torch.distributed.get_world_size() == 1
    finally:
        torch.distributed.destroy_process_group()
    assert cfg.model_wrapper_cfg['device_ids'] is None
    assert cfg.model_wrapper_cfg['find_unused_parameters']


def test_launchers_that_do_not_work(environ, groups):
    with pytest.raises(RuntimeError, match='mpi'):
        prepare_launch(Config(dict(launcher='mpi')))
    environ['SLURM_STEP_NODELIST'] = 'unknown'
    with pytest.raises(RuntimeError, match='unknown'):
        prepare_launch(Config(dict(launcher='slurm')))
    del environ['SLURM_PROCID']
    with pytest.raises(RuntimeError, match='SLURM_PROCID'):
        prepare_launch(Config(dict(launcher='slurm')))
    assert not groups
