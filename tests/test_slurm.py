"""Launches on a Slurm cluster of two nodes, simulated on this machine."""

import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.helpers.launched import (
    EPOCH,
    EPOCHS,
    ROOT,
    assert_same_training,
    environment,
    final_weights,
    free_port,
    losses,
    run,
    write_config,
)

pytestmark = pytest.mark.slow

# Two nodes with one CPU process each.
ON_TWO_NODES = dict(
    GPUS_PER_NODE='0', PROCESSES='2', PROCESSES_PER_NODE='1',
    CPUS_PER_TASK='1')
SUBMIT = ('sbatch', '--parsable', '--nodes=2', '--ntasks-per-node=1',
          '--cpus-per-task=1', '--gres=none')


@pytest.fixture(scope='module', autouse=True)
def cluster(tmp_path_factory):
    """A simulated cluster; skips the tests if it cannot be started."""
    script = ROOT / 'tests' / 'slurm' / 'local_cluster.sh'
    folder = tmp_path_factory.mktemp('cluster')
    started = subprocess.run(['bash', script, 'start', folder],
                             capture_output=True, text=True,
                             env={**os.environ, 'PORT': str(free_port())})
    if started.returncode:
        pytest.skip(started.stderr.splitlines()[-1])
    os.environ['SLURM_CONF'] = str(folder / 'slurm.conf')
    yield
    del os.environ['SLURM_CONF']
    subprocess.run(['bash', script, 'stop', folder], check=True)


@pytest.fixture(scope='module')
def config(cluster, shapes, tmp_path_factory):
    return write_config(tmp_path_factory.mktemp('config'), shapes)


@pytest.fixture(scope='module')
def expected(config, tmp_path_factory):
    """A run with torchrun, two processes on one node."""
    work_dir = tmp_path_factory.mktemp('torchrun') / 'run'
    run('bash', 'tools/dist_train.sh', config, 2, '--work-dir', work_dir)
    return work_dir


@pytest.fixture(scope='module')
def trained(config, tmp_path_factory):
    """A run with srun on two nodes."""
    work_dir = tmp_path_factory.mktemp('srun') / 'run'
    run('bash', 'tools/slurm_train.sh', 'debug', 'train', config, work_dir,
        **ON_TWO_NODES)
    return work_dir


class Job:
    """A job of ``tools/slurm_submit.sh``."""

    def __init__(self, config: Path, work_dir: Path, *args) -> None:
        self.output = work_dir.with_suffix('.out')
        self.number = run(*SUBMIT, f'--output={self.output}',
                          'tools/slurm_submit.sh', config, work_dir,
                          *args).strip()

    def state(self) -> dict:
        """Fields of ``scontrol show job``."""
        shown = run('scontrol', 'show', 'job', '--oneliner', self.number)
        return dict(re.findall(r'(\w+)=(\S*)', shown))

    def wait(self, condition, seconds: int = 180) -> None:
        """Wait until ``condition`` holds for the output so far."""
        end = time.monotonic() + seconds
        while not (self.output.is_file()
                   and condition(self.output.read_text())):
            assert time.monotonic() < end, self.output.read_text()
            time.sleep(0.1)

    def wait_for_training(self, starts: int) -> None:
        """Wait for the first logged iteration after the given start."""

        def trains(text: str) -> bool:
            parts = text.split('Checkpoints will be saved')
            return len(parts) == starts + 1 and 'Epoch(train)' in parts[-1]

        self.wait(trains)

    def wait_for_end(self) -> dict:
        """Wait for the end of the job and return its state."""
        self.wait(lambda _: self.state()['JobState'] not in (
            'PENDING', 'RUNNING', 'COMPLETING', 'REQUEUED'))
        self.wait(lambda _: not run('squeue', '--noheader').strip())
        return self.state()


def test_srun_trains_on_two_nodes_as_torchrun_does_on_one(trained, expected):
    assert_same_training(trained, expected)


def test_srun_evaluates_on_two_nodes(config, trained, tmp_path):
    checkpoint = trained / f'epoch_{EPOCHS}.pth'
    one, two = tmp_path / 'one.json', tmp_path / 'two.json'
    run(sys.executable, 'tools/test.py', config, checkpoint, '--work-dir',
        tmp_path, '--out', one)
    run('bash', 'tools/slurm_test.sh', 'debug', 'test', config, checkpoint,
        '--work-dir', tmp_path, '--out', two, **ON_TWO_NODES)
    metrics = json.loads(one.read_text())
    assert metrics['knn/k5_top5'] > 0
    assert json.loads(two.read_text()) == pytest.approx(metrics, abs=1e-4)


def test_requeued_job_equals_an_uninterrupted_one(
        config, trained, tmp_path):
    """Requeued once at its time limit and once by ``scontrol``."""
    work_dir = tmp_path / 'run'
    job = Job(config, work_dir)
    job.wait_for_training(starts=1)
    # As Slurm does before the time limit.
    run('scancel', '--batch', '--signal=USR1', job.number)
    job.wait_for_training(starts=2)
    run('scontrol', 'requeue', job.number)
    state = job.wait_for_end()
    text = job.output.read_text()
    assert (state['JobState'], state['Restarts']) == ('COMPLETED', '2'), text
    assert 'SIGUSR1: the run ends after iteration' in text
    assert 'SIGTERM: the run ends after iteration' in text
    stops = [int(i) for i in re.findall(r'ends after iteration (\d+)', text)]
    assert 0 < stops[0] < stops[1] < EPOCH * EPOCHS
    assert [int(i) for i in re.findall(r'resumed epoch: \d+, iter: (\d+)',
                                       text)] == stops
    assert_same_training(work_dir, trained)
    for name, value in final_weights(trained).items():
        assert torch.equal(final_weights(work_dir)[name], value), name


def test_canceled_job_saves_and_is_not_requeued(config, tmp_path):
    job = Job(config, tmp_path / 'run')
    job.wait_for_training(starts=1)
    run('scancel', job.number)
    state = job.wait_for_end()
    text = job.output.read_text()
    assert (state['JobState'], state['Restarts']) == ('CANCELLED', '0'), text
    assert 'SIGTERM: the run ends after iteration' in text
    last = (tmp_path / 'run' / 'last_checkpoint').read_text()
    assert torch.load(last, weights_only=False)['meta']['iter'] == max(
        losses(tmp_path / 'run'))


def test_failed_job_is_not_requeued(config, tmp_path):
    job = Job(config, tmp_path / 'run', '--cfg-options',
              'train_dataloader.dataset.data_root=/nowhere')
    state = job.wait_for_end()
    assert (state['JobState'], state['Restarts']) == ('FAILED', '0')
    assert '/nowhere' in job.output.read_text()


def mim_train(package: str, config: Path, work_dir: Path) -> list:
    """Command line of mim for two nodes."""
    return [sys.executable, '-m', 'mim', 'train', package, config,
            '--launcher', 'slurm', '--partition', 'debug', '--gpus', '2',
            '--gpus-per-node', '1', '--srun-args', '', '--work-dir', work_dir]


def test_mim_trains_on_two_nodes(config, trained, tmp_path):
    """With this package's train.py, which needs no GPU."""
    get_installed_path = pytest.importorskip('mim.utils').get_installed_path
    if Path(get_installed_path('ibot_mm')) != ROOT:
        pytest.skip('mim would use another installation of ibot_mm')
    work_dir = tmp_path / 'run'
    output = run(*mim_train('ibot_mm', config, work_dir))
    assert '--gres=gpu:1 --ntasks=2' in output
    assert_same_training(work_dir, trained)


def test_mim_starts_mmpretrain_on_two_nodes(config, tmp_path):
    """MMPretrain's train.py reaches the selection of its GPU."""
    pytest.importorskip('mim')
    names = {d.metadata['Name'] for d in importlib.metadata.distributions()}
    package = next(n for n in ('onedl-mmpretrain', 'mmpretrain') if n in names)
    result = subprocess.run(
        list(map(str, mim_train(package, config, tmp_path / 'run'))),
        capture_output=True, text=True, cwd=ROOT, env=environment())
    assert result.returncode != 0
    assert '_init_dist_slurm' in result.stderr
    assert 'torch.cuda.set_device(local_rank)' in result.stderr
