"""A tiny distributed training run for tests of launchers."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import torch

from tests.helpers.builders import TINY_MODEL

ROOT = Path(__file__).parents[2]
EPOCH = 6  # iterations of two processes
EPOCHS = 30


def environment(**changes) -> dict[str, str]:
    """Environment of CPU processes that use this interpreter.

    Variables of a surrounding Slurm job are removed.
    """
    return {
        **{
            name: value
            for name, value in os.environ.items()
            if not name.startswith('SLURM_') or name == 'SLURM_CONF'
        }, 'CUDA_VISIBLE_DEVICES': '',
        'OMP_NUM_THREADS': '1',
        'PYTHON': sys.executable,
        **changes
    }


def start(*command, **changes) -> subprocess.Popen:
    """Start a command of the project in its folder."""
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
        env=environment(**changes))


def run(*command, code: int = 0, **changes) -> str:
    """Run a command and return its output."""
    process = start(*command, **changes)
    output, _ = process.communicate(timeout=600)
    assert process.returncode == code, output
    return output


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def logged(work_dir: Path) -> Iterator[dict]:
    """Log entries of the iterations in all logs of a work dir."""
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            if 'loss' in entry:
                yield entry


def tiny_config(path: Path, data: Path, text: str = '', batch_size: int = 8,
                num_workers: int = 0) -> Path:
    """Write the quickstart for a tiny network and few images.

    Args:
        path: File to write.
        data: Shapes in class folders.
        text: Further lines; ``model``, ``loader`` and ``default_hooks`` are
            dicts that they can change.
        batch_size, num_workers: Of every loader.
    """
    path.write_text(f'''
_base_ = [__import__('ibot_mm').config_path(
    'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')]
model = {TINY_MODEL}
loader = dict(batch_size={batch_size}, num_workers={num_workers},
              persistent_workers={num_workers > 0},
              dataset=dict(data_root='{data}'))
train_dataloader = loader
val_dataloader = loader
val_cfg = dict(bank_dataloader=loader, k=[5, 1])
default_hooks = dict(
    runtime_info=dict(interval=1),
    logger=dict(interval=1),
    pictures=dict(count=1, patches=4),
    teacher_temperature=dict(warmup_epochs=2))
{text}''')
    return path


def write_config(folder: Path, data: Path) -> Path:
    """Write a config of 30 epochs of 6 iterations of 2 x 4 images."""
    return tiny_config(folder / 'tiny.py', data, f'''
train_cfg = dict(max_epochs={EPOCHS}, val_interval={EPOCHS})
default_hooks['checkpoint'] = dict(interval={EPOCHS // 2})
''', batch_size=4, num_workers=1)


def losses(work_dir: Path) -> dict[int, dict[str, float]]:
    """Losses and schedules of each iteration in all logs of a work dir."""
    return {
        entry['iter']: {
            name: value for name, value in entry.items() if name.startswith(
                ('loss', 'lr', 'momentum', 'teacher', 'weight'))
        }
        for entry in logged(work_dir)
    }


def final_weights(work_dir: Path) -> dict[str, torch.Tensor]:
    """Final student, teacher and centers."""
    return torch.load(
        work_dir / f'epoch_{EPOCHS}.pth', weights_only=False)['state_dict']


def assert_same_training(work_dir: Path, expected: Path) -> None:
    """Assert that all losses and the final weights equal another run's."""
    found, wanted = losses(work_dir), losses(expected)
    assert sorted(found) == list(range(1, EPOCH * EPOCHS + 1))
    for iteration, values in wanted.items():
        torch.testing.assert_close(found[iteration], values, rtol=1e-5,
                                   atol=1e-7)
    found, wanted = final_weights(work_dir), final_weights(expected)
    assert list(found) == list(wanted)
    for name, value in wanted.items():
        torch.testing.assert_close(found[name], value, msg=lambda m, n=name:
                                   f'{n}: {m}')
