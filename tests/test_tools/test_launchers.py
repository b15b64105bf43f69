"""Launch scripts: requested resources, and two nodes at once."""

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

from tests.helpers.launched import (
    ROOT,
    assert_same_training,
    free_port,
    run,
    start,
    write_config,
)

TRAIN = ('slurm_train.sh', 'part', 'job', 'my config.py', 'work dir')
TEST = ('slurm_test.sh', 'part', 'job', 'my config.py', 'a b.pth')


@pytest.fixture
def srun(tmp_path):
    """Call a script with a fake ``srun`` that prints its arguments."""
    fake = tmp_path / 'bin' / 'srun'
    fake.parent.mkdir()
    fake.write_text(f'#!{sys.executable}\nimport json, os, sys\n'
                    'print(json.dumps(sys.argv[1:]))\n')
    fake.chmod(0o755)
    path = f'{fake.parent}:{os.environ["PATH"]}'

    def call(script, *args, **settings):
        return json.loads(
            run('bash', f'tools/{script}', *args, PATH=path, PYTHON='py',
                **settings))

    call.path = path
    return call


@pytest.mark.parametrize('script,args', [
    (TRAIN, ['--work-dir', 'work dir', '--launcher', 'slurm']),
    (TEST, ['a b.pth', '--launcher', 'slurm']),
])
def test_eight_gpus_by_default(srun, script, args):
    name = script[0].replace('slurm_', '').replace('.sh', '.py')
    assert srun(*script, '--cfg-options', 'a="b c"') == [
        '--partition=part', '--job-name=job', '--gres=gpu:8', '--ntasks=8',
        '--ntasks-per-node=8', '--cpus-per-task=14', '--kill-on-bad-exit=1',
        'py', '-u', f'{ROOT}/tools/{name}', 'my config.py', *args,
        '--cfg-options', 'a="b c"'
    ]


@pytest.mark.parametrize('settings,asked', [
    (dict(GPUS='16'),
     ['--gres=gpu:8', '--ntasks=16', '--ntasks-per-node=8']),
    (dict(GPUS='4'), ['--gres=gpu:4', '--ntasks=4', '--ntasks-per-node=4']),
    (dict(GPUS='4', GPUS_PER_NODE='1'),
     ['--gres=gpu:1', '--ntasks=4', '--ntasks-per-node=1']),
    (dict(GPUS='0'), ['--ntasks=1', '--ntasks-per-node=1']),
    (dict(GPUS_PER_NODE='0', PROCESSES='4', PROCESSES_PER_NODE='2'),
     ['--ntasks=4', '--ntasks-per-node=2']),
])
def test_resources(srun, settings, asked):
    on_cpus = '--gres' not in asked[0]
    for script in (TRAIN, TEST):
        args = srun(*script, **settings)[2:]
        assert args[:len(asked) + 1] == [
            *asked, f'--cpus-per-task={5 if on_cpus else 14}']
        # Asked for, so it is not an error where a node has GPUs.
        assert (args[len(asked) + 2:args.index('py')] == [
            'env', 'CUDA_VISIBLE_DEVICES=']) == on_cpus


def test_further_arguments_of_srun(srun):
    args = srun(*TRAIN, CPUS_PER_TASK='3', SRUN_ARGS='--qos=low -x n[1-2]')
    assert args[5:-8] == ['--cpus-per-task=3', '--kill-on-bad-exit=1',
                          '--qos=low', '-x', 'n[1-2]']


@pytest.mark.parametrize('script,few', [
    ('dist_train.sh', 1),
    ('dist_test.sh', 2),
    ('slurm_train.sh', 3),
    ('slurm_test.sh', 3),
    ('slurm_submit.sh', 1),
])
def test_too_few_arguments_give_the_usage(script, few):
    output = run('bash', f'tools/{script}', *few * ['x'], code=2)
    assert output.startswith('usage: ') and f'tools/{script} ' in output
    assert len(output.splitlines()) == 1


def test_submit_does_not_run_outside_of_a_job():
    output = run('bash', 'tools/slurm_submit.sh', 'config.py', 'work', code=2)
    assert output.startswith('usage: sbatch [options of sbatch] ')


def test_submit_needs_the_folder_of_the_project(tmp_path):
    result = subprocess.run(
        ['bash', ROOT / 'tools' / 'slurm_submit.sh', 'config.py', 'work'],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, 'SLURM_JOB_ID': '1'})
    assert result.returncode == 2
    assert f'no tools/train.py in {tmp_path}' in result.stderr


def test_command_line_that_mim_builds(srun):
    """MMPretrain's train.py with the requested launcher and resources."""
    pytest.importorskip('mim')
    names = {d.metadata['Name'] for d in importlib.metadata.distributions()}
    package = next(n for n in ('onedl-mmpretrain', 'mmpretrain') if n in names)
    config = 'configs/examples/ibot_vit-micro-p8_1xb64-20e_shapes.py'
    output = run(
        sys.executable, '-m', 'mim', 'train', package, config, '--launcher',
        'slurm', '--partition', 'part', '--gpus', 2, '--gpus-per-node', 1,
        '--srun-args', '', '--work-dir', 'work', PATH=srun.path)
    args = json.loads(next(
        line for line in output.splitlines() if line.startswith('[')))
    assert args[:7] == [
        '-p', 'part', '--gres=gpu:1', '--ntasks=2', '--ntasks-per-node=1',
        '--cpus-per-task=2', '--kill-on-bad-exit=1']
    script = args.index('-u') + 1
    assert args[script].endswith('/mmpretrain/.mim/tools/train.py')
    assert args[script + 1:] == [config, '--launcher', 'slurm', '--work-dir',
                                 'work']


@pytest.mark.slow
def test_two_nodes_of_torchrun_train_as_one(shapes, tmp_path):
    """NNODES=2 with two nodes simulated on one machine."""
    config = write_config(tmp_path, shapes)
    one, two = tmp_path / 'one', tmp_path / 'two'
    run('bash', 'tools/dist_train.sh', config, 2, '--work-dir', one)
    port = str(free_port())
    nodes = [
        start('bash', 'tools/dist_train.sh', config, 1, '--work-dir', two,
              NNODES='2', NODE_RANK=str(rank), MASTER_ADDR='127.0.0.1',
              PORT=port) for rank in range(2)
    ]
    outputs = [node.communicate(timeout=600)[0] for node in nodes]
    assert [node.returncode for node in nodes] == [0, 0], outputs
    assert_same_training(two, one)
