"""Evaluate a checkpoint with several protocols.

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

Protocols: knn, logistic, unsupervised (frozen features); linear, parts (frozen
backbone); finetune (layer decay), transfer, semi (from the first projection
layer; needs --subset). --subset restricts the training images of every
protocol. Keys of --cfg-options start with a protocol:
finetune.optim_wrapper.optimizer.lr=5e-4.

Of the classifier that linear trains: occlusion, imagenet-9, imagenet-a,
imagenet-r, imagenet-v2, imagenet-c. Of the frozen backbone: roxford5k,
rparis6k, copydays, davis2017. All of these but occlusion need the folder of
their test set:

    python tools/evaluate.py CKPT --data-root data/imagenet \
        --protocols linear,occlusion,imagenet-c,davis2017 \
        --test-sets imagenet-c=data/imagenet-c davis2017=data/davis2017
"""

import argparse
import hashlib
import json
import logging
import sys
import time
from functools import cache
from pathlib import Path
from typing import Any

import torch
from evaluation.labeled_data import (
    Data,
    classes_from,
    inspect_data,
    split_data,
)
from evaluation.process import failure, run
from evaluation.protocol_configs import (
    FROZEN,
    PROTOCOLS,
    data_sets,
    protocol_config,
)
from evaluation.results import METRICS, settings_of, table
from evaluation.test_set_configs import (
    BACKBONE,
    CLASSIFIER,
    TEST_SETS,
    test_set_config,
)
from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import set_random_seed
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from ibot_mm.checkpoints.load import CheckpointError
from ibot_mm.checkpoints.resume import recorded_checkpoint
from ibot_mm.command_line import CommandParser, ConfigOptions, report_errors

TOOLS = Path(__file__).resolve().parents[0]


def parse_args() -> argparse.Namespace:
    """Parse the command line."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('checkpoint', help='checkpoint to evaluate')
    parser.add_argument('--config', help='config of the pre-training '
                        '(default: the one in the folder of the checkpoint)')
    parser.add_argument('--data-root',
                        help='folder with train/ and val/; needed by all '
                        'protocols but those of the frozen backbone that '
                        'have a test set of their own')
    parser.add_argument('--split', type=float, metavar='SHARE',
                        help='for a data root without train/ and val/: part '
                        'of each class to validate on, drawn with --seed and '
                        'listed in OUT/val.txt; OUT/train.txt has the rest')
    parser.add_argument('--protocols', default='knn',
                        help='comma-separated (default: knn)')
    parser.add_argument('--test-sets', nargs='+', default=[],
                        metavar='PROTOCOL=FOLDER',
                        help='folders of test sets')
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
    args = parser.parse_args()
    args.test_sets = dict(item.partition('=')[::2] for item in args.test_sets)
    return args


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


def require_known(protocols: list[str], args: argparse.Namespace) -> None:
    """Raise unless all protocols are known and have what they need."""
    for name in protocols:
        if name not in (*PROTOCOLS, *TEST_SETS):
            raise ValueError(f'unknown protocol "{name}": choose from '
                             f'{", ".join((*PROTOCOLS, *TEST_SETS))}.')
        if name in CLASSIFIER and (
                'linear' not in protocols[:protocols.index(name)]):
            raise ValueError(f'the protocol "{name}" tests the classifier of '
                             'the protocol linear: name that before it.')
        if name in TEST_SETS and name != 'occlusion' and (
                name not in args.test_sets):
            raise ValueError(f'the protocol "{name}" needs the folder of its '
                             f'test set: --test-sets {name}=FOLDER.')
        if name not in BACKBONE and not args.data_root:
            raise ValueError(f'the protocol "{name}" needs --data-root.')
    for name, folder in args.test_sets.items():
        if name not in protocols:
            raise ValueError(f'--test-sets: "{name}" is no protocol of this '
                             f'run ({", ".join(protocols)}).')
        if not Path(folder).is_dir():
            raise FileNotFoundError(
                f'--test-sets {name}={folder}: there is no such folder.')


def merge_head(folder: Path) -> dict[str, Any]:
    """Make the classifier of a finished linear probe.

    Args:
        folder: Of the linear probe.

    Returns:
        ``path``, its checkpoint, beside its config; or ``error`` and ``log``.
    """
    source = recorded_checkpoint(str(folder))
    target = folder / 'classifier' / Path(source).name
    log = folder / 'merge.txt'
    status, _ = run([
        sys.executable, str(TOOLS / 'model_converters/merge_linear_head.py'),
        source, str(target)], log, 1, print)
    if status:
        return dict(error=failure(log), log=str(log))
    return dict(path=str(target))


@cache
def files_in(folder: str | None) -> str:
    """Names and sizes of the files in a test set, for the digest."""
    return str(sorted((str(path), path.stat().st_size) for path in
                      Path(folder).rglob('*') if path.is_file())
               if folder else '')


def command(protocol: str, config: Path, checkpoint: str, folder: Path,
            processes: int) -> list[str]:
    """Command line of one protocol."""
    stage = 'test' if protocol in (*FROZEN, *TEST_SETS) else 'train'
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


def read_metrics(folder: Path) -> dict[str, Any]:
    """Metrics of the last evaluation of a finished protocol."""
    if (folder / 'metrics.json').is_file():
        return json.loads((folder / 'metrics.json').read_text())
    logs = sorted(folder.glob('*/vis_data/scalars.json'))
    entries = [json.loads(line) for line in logs[-1].read_text().splitlines()]
    metrics = [e for e in entries if set(e) & set(METRICS.values())][-1]
    used = [e['memory'] for e in entries if 'memory' in e]
    return dict(metrics, **({'cuda_memory': max(used)} if used else {}))


def evaluate(args: argparse.Namespace, protocol: str, cfg: Config,
             checkpoint: str, data: Data | None, folder: Path,
             update) -> dict[str, Any]:
    """Run a protocol, or reuse the result of an identical earlier run."""
    digest = hashlib.sha256(Path(checkpoint).read_bytes() + (
        f'{cfg.pretty_text} {data} {args.processes} '
        f'{files_in(args.test_sets.get(protocol))}').encode()).hexdigest()
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
    result.update(metrics=metrics)
    # Means over corruptions need all of them.
    if METRICS[protocol] in metrics:
        result['value'] = metrics[METRICS[protocol]]
    kept.write_text(json.dumps(result, indent=2))
    return result


@report_errors
def main() -> int:
    """Run the protocols and write the table."""
    args = parse_args()
    protocols = [p for p in args.protocols.split(',') if p]
    out = args.out or (
        Path('work_dirs') / 'evaluation' / Path(args.checkpoint).stem)
    require_known(protocols, args)
    pretraining = pretraining_config(args.config, args.checkpoint)
    options = options_of(args.cfg_options, protocols)
    data, lists, val = None, None, {}
    if args.data_root:
        lists = split_data(args.data_root, args.split, args.seed, out)
        data = inspect_data(args.data_root, args.subset, lists)
        val = data_sets(args.data_root, args.subset, lists)[1]
    configs = {}
    for protocol in protocols:
        cache_dir = str(out / 'features')
        if protocol in TEST_SETS:
            cfg = test_set_config(
                protocol, pretraining, args.test_sets.get(protocol), val,
                classes_from(args.data_root, lists), args.batch_size,
                args.workers, cache_dir)
        else:
            cfg = protocol_config(
                protocol, pretraining, args.data_root, data.num_classes,
                data.num_train, args.subset, args.processes, args.batch_size,
                args.epochs, args.workers, cache_dir, lists)
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
            classifier: dict[str, Any] = {}
            for protocol, cfg in configs.items():
                task = bar.add_task(f'{protocol} of {name}', total=1.)
                tested = path
                if protocol in CLASSIFIER:
                    linear = results[name]['linear']
                    classifier = classifier or (
                        linear if 'error' in linear else
                        merge_head(out / name / 'linear'))
                    if 'error' in classifier:
                        results[name][protocol] = dict(
                            linear, **classifier, protocol=protocol)
                        continue
                    tested = classifier['path']
                    cfg.model = Config.fromfile(
                        Path(tested).with_suffix('.py')).model
                    cfg.merge_from_dict(options[protocol])
                results[name][protocol] = evaluate(
                    args, protocol, cfg, tested, data, out / name / protocol,
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
