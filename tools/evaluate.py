"""Evaluate a checkpoint with several classification protocols.

    python tools/evaluate.py epoch_800.pth \
        --data-root data/imagenet --protocols knn,logistic,linear
    python tools/evaluate.py CKPT --config PRETRAINING_CONFIG \
        --data-root data/mine --protocols knn,linear --untrained

DATA_ROOT contains train/ and val/ with class folders, or with --split 0.2
class folders alone, of which a fifth of each is held out. Each protocol runs
tools/test.py or tools/train.py in a separate process, with its log in
OUT/PROTOCOL/log.txt; a failed protocol does not stop the others, and finished
ones are not rerun. The results table is printed and written to OUT/results.md
and OUT/results.json.

Protocols: knn, logistic, unsupervised (frozen features); linear (frozen
backbone); finetune (layer decay), transfer, semi (from the first projection
layer; needs --subset). --subset restricts the training images of every
protocol. Keys of --cfg-options start with a protocol:
finetune.optim_wrapper.optimizer.lr=5e-4.
"""

import argparse
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed
from protocol_configs import FROZEN, data_sets, protocol_config
from protocol_results import METRICS, settings_of, table
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.command_line import CommandParser, ConfigOptions, report_errors
from ibot_mm.datasets import LabeledDataset
from ibot_mm.datasets.image_lists import split_samples
from ibot_mm.evaluation.feature_cache import add_samples
from ibot_mm.registry import DATASETS

TOOLS = Path(__file__).resolve().parents[0]
STEP = re.compile(r'Epoch\(train\) +\[(\d+)\]\[ *(\d+)/(\d+)\]')
# Optionally after torchrun's rank prefix.
ERROR = re.compile(
    r'(\[\w+\]:)? *((?:\w+\.)*\w*(?:Error|Exception|Interrupt): \S.*)')
BATCH = re.compile(r'features \[(\d+)/(\d+)\]')


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint to evaluate')
    parser.add_argument('--config', help='config of the pre-training '
                        '(default: the one in the folder of the checkpoint)')
    parser.add_argument('--data-root', required=True,
                        help='folder with train/ and val/')
    parser.add_argument('--split', type=float, metavar='SHARE',
                        help='for a data root without train/ and val/: part '
                        'of each class to validate on, drawn with --seed and '
                        'listed in OUT/val.txt; OUT/train.txt has the rest')
    parser.add_argument('--protocols', default='knn',
                        help='comma-separated (default: knn)')
    parser.add_argument('--out', type=Path,
                        help='output folder (default: work_dirs/'
                        'evaluation/CHECKPOINT)')
    parser.add_argument('--subset', default='',
                        help='list file of the training images to use')
    parser.add_argument('--untrained', action='store_true',
                        help='also evaluate the same network untrained')
    parser.add_argument('--batch-size', type=int,
                        help="images per process (default: the recipe's)")
    parser.add_argument('--epochs', type=int,
                        help="epochs of training (default: the recipe's)")
    parser.add_argument('--workers', type=int, default=2,
                        help='DataLoader workers (default: 2)')
    parser.add_argument('--processes', type=int, default=1,
                        help='GPUs, or CPU processes (default: 1)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--cfg-options', nargs='+', action=ConfigOptions,
                        default={}, metavar='PROTOCOL.KEY=VALUE')
    return parser.parse_args()


def pretraining_config(path: str | None, checkpoint: str) -> Config:
    """Config of the pre-training: a file, or the one of the work dir.

    Raises:
        CheckpointError: The folder of the checkpoint does not hold one.
    """
    found = [path] if path else sorted(Path(checkpoint).parent.glob('*.py'))
    if len(found) != 1:
        raise CheckpointError(
            f'"{Path(checkpoint).parent}" holds {len(found)} configs: give '
            f'--config, that of the pre-training of "{checkpoint}".')
    return Config.fromfile(found[0])


def options_of(settings: dict[str, Any],
               protocols: list[str]) -> dict[str, dict[str, Any]]:
    """Split settings by the protocol that their keys start with.

    Raises:
        ValueError: A key does not start with a protocol of this run.
    """
    found: dict[str, dict[str, Any]] = {name: {} for name in protocols}
    for key, value in settings.items():
        name, _, rest = key.partition('.')
        if name not in found or not rest:
            raise ValueError(
                f'--cfg-options: "{key}" must start with a protocol of this '
                f'run ({", ".join(protocols)}) and a dot.')
        found[name][rest] = value
    return found


def save_untrained(cfg: Config, path: Path, seed: int) -> None:
    """Save the untrained model as initialized with this seed."""
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    set_random_seed(seed)
    model = MODELS.build(cfg.model)
    logging.disable(logging.INFO)  # MMEngine logs every parameter
    model.init_weights()
    logging.disable(logging.NOTSET)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


class Data(NamedTuple):
    """Properties of the data set."""

    num_classes: int
    num_train: int
    digest: str


def split_data(data_root: str, share: float | None, seed: int,
               out: Path) -> list[str] | None:
    """Write the lists of a random split.

    Args:
        data_root: Folder of the class folders.
        share: Part of each class to validate on; None for no split.
        seed: Seed of the split.
        out: Folder of the lists.

    Returns:
        Absolute paths of the lists for training and validation; None without
        a split.

    Raises:
        ValueError: The share is not between 0 and 1, or there are train/ and
            val/ already.
        FileNotFoundError: They are missing, and no split is wanted.
    """
    folders = [Path(data_root, name).is_dir() for name in ('train', 'val')]
    if share is None:
        if Path(data_root).is_dir() and not all(folders):
            raise FileNotFoundError(
                f'"{data_root}" has no train/ and val/; give the folder that '
                'holds the class folders, and --split 0.2 to validate on a '
                'fifth of each.')
        return None
    if not 0 < share < 1:
        raise ValueError(
            f'--split {share:g} must be between 0 and 1, such as 0.2.')
    if all(folders):
        raise ValueError(f'--split {share:g}: "{data_root}" has train/ and '
                         'val/ already; leave out --split.')
    data = LabeledDataset(data_root=data_root)
    samples = [(os.path.relpath(info['img_path'], data_root),
                info['gt_label'])
               for info in map(data.get_data_info, range(len(data)))]
    out.mkdir(parents=True, exist_ok=True)
    lists = [out / 'train.txt', out / 'val.txt']
    for path, part in zip(lists, split_samples(samples, share, seed)):
        path.write_text(''.join(f'{name} {label}\n' for name, label in part))
    return [str(path.resolve()) for path in lists]


def inspect_data(data_root: str, subset: str,
                 lists: list[str] | None) -> Data:
    """List the images, which raises on invalid data."""
    train, val = map(DATASETS.build, data_sets(data_root, subset, lists))
    digest = hashlib.sha256()
    for dataset in (train, val):
        add_samples(digest, dataset)
    return Data(len(train.metainfo['classes']), len(train),
                digest.hexdigest())


def command(protocol: str, config: Path, checkpoint: str, folder: Path,
            processes: int) -> list[str]:
    """Command line of one protocol."""
    stage = 'test' if protocol in FROZEN else 'train'
    head = [sys.executable, str(TOOLS / f'{stage}.py'), str(config)]
    if processes > 1:
        head = ['bash', str(TOOLS / f'dist_{stage}.sh'), str(config)]
        processes_arg = [str(processes)]
    else:
        processes_arg = []
    if stage == 'test':
        return head + [checkpoint] + processes_arg + [
            '--work-dir', str(folder), '--out', str(folder / 'metrics.json')]
    return head + processes_arg + [
        '--pretrained', checkpoint, '--work-dir', str(folder),
        '--auto-scale-lr', '--fresh-start'
    ]


def progress_of(line: str, epochs: int) -> float | None:
    """Progress of a protocol from a line of its log, 0 to 1, or None."""
    match = STEP.search(line)
    if match:
        epoch, step, length = map(int, match.groups())
        return (epoch - 1 + step / length) / epochs
    match = BATCH.search(line)
    return int(match[1]) / int(match[2]) if match else None


def run(line: list[str], log: Path, epochs: int, update) -> tuple[int, int]:
    """Run a protocol and return its exit status and peak memory in MiB."""
    environment = dict(os.environ)
    environment['PYTHON'] = sys.executable  # for dist_train.sh, dist_test.sh
    environment['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(TOOLS.parent), environment.get('PYTHONPATH')]))
    with log.open('w', buffering=1) as file:
        process = subprocess.Popen(
            line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=environment)
        for text in process.stdout:
            file.write(text)
            done = progress_of(text, epochs)
            if done is not None:
                update(done)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, usage.ru_maxrss // 1024


def read_metrics(folder: Path) -> dict[str, Any]:
    """Metrics of the last evaluation of a finished protocol."""
    if (folder / 'metrics.json').is_file():
        return json.loads((folder / 'metrics.json').read_text())
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    metrics = [e for e in entries if set(e) & set(METRICS.values())][-1]
    used = [e['memory'] for e in entries if 'memory' in e]
    return dict(metrics, **({'cuda_memory': max(used)} if used else {}))


def failure(log: Path) -> str:
    """Error message of the first process that failed."""
    lines = log.read_text().splitlines() or ['no output']
    errors = [match for match in map(ERROR.match, lines) if match]
    # Causes of an error are printed before it.
    own = [match for match in errors if match[1] == errors[0][1]]
    return own[-1][2] if own else lines[-1]


def evaluate(args: argparse.Namespace, protocol: str, cfg: Config,
             checkpoint: str, data: Data, folder: Path,
             update) -> dict[str, Any]:
    """Run a protocol, or reuse the result of an identical earlier run."""
    digest = hashlib.sha256(Path(checkpoint).read_bytes() + (
        f'{cfg.pretty_text} {data} {args.processes}').encode()).hexdigest()
    kept = folder / 'result.json'
    if kept.is_file():
        result = json.loads(kept.read_text())
        if result.get('digest') == digest:
            return result
    folder.mkdir(parents=True, exist_ok=True)
    # Not inside the folder, where the run dumps its own config.
    config = folder.with_suffix('.py')
    cfg.dump(str(config))
    start = time.perf_counter()
    epochs = cfg.get('train_cfg', {}).get('max_epochs', 1)
    status, memory = run(
        command(protocol, config, checkpoint, folder, args.processes),
        folder / 'log.txt', epochs, update)
    result = dict(
        protocol=protocol,
        checkpoint=checkpoint,
        digest=digest,
        settings=settings_of(protocol, cfg, args.processes),
        seconds=round(time.perf_counter() - start, 1),
        memory_mib=memory)
    if status:
        log = folder / 'log.txt'
        return dict(result, error=failure(log), log=str(log))
    metrics = read_metrics(folder)
    result.update(value=metrics[METRICS[protocol]], metrics=metrics)
    kept.write_text(json.dumps(result, indent=2))
    return result


@report_errors
def main() -> int:
    """Run the protocols and write the table."""
    args = parse_args()
    protocols = [p for p in args.protocols.split(',') if p]
    out = args.out or (
        Path('work_dirs') / 'evaluation' / Path(args.checkpoint).stem)
    pretraining = pretraining_config(args.config, args.checkpoint)
    options = options_of(args.cfg_options, protocols)
    lists = split_data(args.data_root, args.split, args.seed, out)
    data = inspect_data(args.data_root, args.subset, lists)
    configs = {}
    for protocol in protocols:
        cfg = protocol_config(
            protocol, pretraining, args.data_root, data.num_classes,
            data.num_train, args.subset, args.processes, args.batch_size,
            args.epochs, args.workers, str(out / 'features'), lists)
        cfg.merge_from_dict(options[protocol])
        cfg.randomness.seed = args.seed
        configs[protocol] = cfg
    out.mkdir(parents=True, exist_ok=True)
    checkpoints = {Path(args.checkpoint).stem: args.checkpoint}
    if args.untrained:
        save_untrained(pretraining, out / 'untrained.pth', args.seed)
        checkpoints = {'untrained': str(out / 'untrained.pth'), **checkpoints}
    results: dict[str, dict[str, dict]] = {name: {} for name in checkpoints}
    with Progress(TextColumn('{task.description:30}'), BarColumn(),
                  TextColumn('{task.percentage:3.0f}%'),
                  TimeElapsedColumn()) as bar:
        for name, path in checkpoints.items():
            for protocol, cfg in configs.items():
                task = bar.add_task(f'{protocol} of {name}', total=1.)
                results[name][protocol] = evaluate(
                    args, protocol, cfg, path, data, out / name / protocol,
                    lambda done: bar.update(task, completed=done))
                bar.update(task, completed=1.)
    text = table(results, protocols)
    (out / 'results.md').write_text(text + '\n')
    (out / 'results.json').write_text(json.dumps(results, indent=2))
    print(f'\n{text}\n\nwritten to {out}/results.md and results.json')
    failed = [r for rows in results.values() for r in rows.values()
              if 'error' in r]
    for result in failed:
        print(f'{result["protocol"]} failed: {result["error"]} (see '
              f'{result["log"]})', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
