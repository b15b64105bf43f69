"""Kill a training again and again, and count what that costs.

A tiny training on generated images is killed with SIGKILL (its process group,
data workers included) at random moments: while it starts, between iterations,
and, for every other kill, while it writes a checkpoint. Each restart is
``tools/train.py --resume``. After each kill every checkpoint is read and its
checksums compared. At the end the weights are compared, bit by bit, with
those of a run that nothing disturbed.

    python tests/stress/fault_injection.py
    python tests/stress/fault_injection.py --kills 5 --iterations 400
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from ibot_mm.checkpoints.atomic_write import INCOMPLETE
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.resume import latest_checkpoint, verify_checkpoint

ROOT = Path(__file__).parents[2]
IMAGES, BATCH = 64, 8
CONFIG = '''
_base_ = [__import__('ibot_mm').config_path(
    'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py')]
model = dict(
    backbone=dict(
        arch=dict(
            _delete_=True, embed_dims=24, num_layers=2, num_heads=3,
            feedforward_channels=48)),
    neck=dict(in_channels=24, hidden_channels=32, bottleneck_channels=16,
              num_prototypes=32),
    head=dict(num_prototypes=32))
train_dataloader = dict(
    batch_size={batch}, num_workers=1, persistent_workers=True,
    dataset=dict(data_root={data!r}))
train_cfg = dict(max_epochs={epochs}, val_interval=10**6)
val_cfg = val_dataloader = val_evaluator = None
default_hooks = dict(
    runtime_info=dict(interval=1),
    logger=dict(interval=1),
    checkpoint=dict(by_epoch=False, interval={interval}, max_keep_ckpts=3))
'''


class Run:
    """A training that is started, watched and killed.

    Args:
        config: Its config file.
        work_dir: Its work directory.
    """

    def __init__(self, config: Path, work_dir: Path) -> None:
        self.config, self.work_dir = config, work_dir
        self.process: subprocess.Popen | None = None
        self.begun = 0.

    def start(self) -> None:
        """Start or continue it."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        self.begun = time.time()
        with open(self.work_dir / 'output.txt', 'a') as output:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / 'tools' / 'train.py', self.config,
                 '--work-dir', self.work_dir, '--resume'],
                stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
                # More threads than free cores slow a tiny network down.
                env={**os.environ, 'OMP_NUM_THREADS': '1'},
                start_new_session=True)

    def kill(self) -> None:
        """Kill it with all its processes."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ended(self) -> bool:
        """Whether it has reached its end.

        Raises:
            RuntimeError: It has failed by itself.
        """
        code = self.process.poll()
        if code:
            raise RuntimeError(f'the training failed: see '
                               f'{self.work_dir / "output.txt"}')
        return code == 0

    def wait(self) -> None:
        """Let it go on to its end."""
        while not self.ended():
            time.sleep(0.1)

    def logged(self) -> int:
        """Iterations that it has logged, in all of its starts."""
        entries = (
            line for path in self.work_dir.glob('*/vis_data/scalars.json')
            for line in path.read_text().splitlines() if '"loss"' in line)
        # A kill may leave half a line.
        return max((json.loads(line)['iter'] for line in entries
                    if line.endswith('}')), default=0)

    def saved(self) -> int:
        """Iterations of the checkpoint that a restart goes on from."""
        path = latest_checkpoint(str(self.work_dir)).path
        return load_checkpoint(path, mmap=True)['meta']['iter'] if path else 0

    def damaged(self) -> list[str]:
        """Checkpoints that are not whole."""
        names = []
        for path in self.work_dir.glob('*.pth'):
            try:
                verify_checkpoint(str(path))
            except CheckpointError as error:
                names.append(str(error))
        return names

    def writes(self) -> bool:
        """Whether this start has a file half written."""
        for path in self.work_dir.glob(f'*{INCOMPLETE}'):
            try:
                if path.stat().st_mtime > self.begun:
                    return True
            except FileNotFoundError:  # it is whole by now
                pass
        return False


def wait_to_kill(run: Run, rng: random.Random, in_writing: bool,
                 seconds: float) -> bool:
    """Wait for the moment of a kill; whether it is one of writing.

    Random moments are up to ``seconds`` after the start; those of writing are
    at the first checkpoint being written after such a moment.
    """
    end = time.monotonic() + rng.uniform(0, seconds)
    while time.monotonic() < end and not run.ended():
        time.sleep(0.01)
    while in_writing and not run.ended():
        if run.writes():
            return True
        time.sleep(0.0005)
    return False


def compare(a: Path, b: Path) -> bool:
    """Whether two runs ended with the same weights, centres and moments."""
    states = [
        load_checkpoint(latest_checkpoint(str(path)).path) for path in (a, b)
    ]
    return all(_same(states[0][key], states[1][key])
               for key in ('state_dict', 'optimizer'))


def _same(a, b) -> bool:
    if isinstance(a, torch.Tensor):
        return torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_same(a[k], b[k]) for k in a)
    if isinstance(a, (list, tuple)):
        return len(a) == len(b) and all(map(_same, a, b))
    return a == b


def inject(run: Run, kills: int, seconds: float, seed: int) -> dict[str, int]:
    """Kill a run some times and let it end; what that cost."""
    rng = random.Random(seed)
    count = dict(kills=0, in_writing=0, left_incomplete=0, restarts=0,
                 lost=0, lost_at_most=0, damaged=0)
    run.start()
    while count['kills'] < kills:
        in_writing = wait_to_kill(run, rng, count['kills'] % 2 == 1, seconds)
        if run.ended():
            raise RuntimeError(
                f'the training ended after {count["kills"]} kills: give it '
                'more --iterations.')
        run.kill()
        count['kills'] += 1
        count['in_writing'] += in_writing
        count['left_incomplete'] += run.writes()
        damaged = run.damaged()
        count['damaged'] += len(damaged)
        lost = run.logged() - run.saved()
        count['lost'] += lost
        count['lost_at_most'] = max(count['lost_at_most'], lost)
        print(f'kill {count["kills"]}{" in writing" if in_writing else ""}: '
              f'{run.logged()} iterations seen, {lost} lost',
              *damaged, flush=True)
        run.start()
        count['restarts'] += 1
    run.wait()
    return count


def main() -> None:
    """Run, kill, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument('--kills', type=int, default=50)
    parser.add_argument('--iterations', type=int, default=12000)
    parser.add_argument('--interval', type=int, default=20,
                        help='iterations between checkpoints')
    parser.add_argument('--seconds', type=float, default=12.,
                        help='latest random moment after a start')
    parser.add_argument('--seed', type=int, default=0)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        subprocess.run(
            [sys.executable, ROOT / 'tools/dataset_tools/make_shapes.py',
             root / 'shapes', '--train', str(IMAGES), '--val', '2',
             '--layouts', 'imagenet'], check=True, capture_output=True)
        config = root / 'killed.py'
        config.write_text(CONFIG.format(
            batch=BATCH, data=str(root / 'shapes' / 'imagenet'),
            epochs=args.iterations // (IMAGES // BATCH),
            interval=args.interval))
        killed = Run(config, root / 'killed')
        count = inject(killed, args.kills, args.seconds, args.seed)
        undisturbed = Run(config, root / 'undisturbed')
        undisturbed.start()
        undisturbed.wait()
        same = compare(killed.work_dir, undisturbed.work_dir)
    print(f'kills                            {count["kills"]}\n'
          f'  while a checkpoint was written {count["in_writing"]}\n'
          f'  that left an incomplete file   {count["left_incomplete"]}\n'
          f'restarts                         {count["restarts"]}\n'
          f'iterations lost                  {count["lost"]} (at most '
          f'{count["lost_at_most"]} per kill, checkpoints every '
          f'{args.interval})\n'
          f'checkpoints damaged              {count["damaged"]}\n'
          'end equals an undisturbed run    '
          f'{"yes, bit by bit" if same else "NO"}')
    sys.exit(0 if same and not count['damaged'] else 1)


if __name__ == '__main__':
    main()
