"""Compare a pre-trained teacher with the untrained network and raw pixels.

Reports k-NN accuracies on the validation sets of the config; with --plot, also
plots the training curves.

    python tools/misc/knn_report.py CONFIG CHECKPOINT --plot curves.png
"""

import argparse
import json
import logging
from pathlib import Path

from mmengine.config import Config
from mmengine.registry import MODELS, init_default_scope
from mmengine.runner import Runner, set_random_seed

import ibot_mm  # noqa: F401  (checks the installation first)
from ibot_mm.checkpoints.load import load_checkpoint
from ibot_mm.checkpoints.pretrained import weights_of
from ibot_mm.checkpoints.strict import load_strict
from ibot_mm.command_line import (
    CommandParser,
    ConfigOptions,
    read_config,
    report_errors,
)
from ibot_mm.evaluation import KNNClassification, extract_features


def accuracies(encode, preprocessor, loaders, ks: list[int],
               temperature: float) -> list[float]:
    """Top-1 accuracy in percent for each k."""
    bank, queries = (
        extract_features(encode, preprocessor, loader) for loader in loaders)
    metrics = KNNClassification(ks, temperature)(queries, bank, 'cpu')
    return [metrics[f'knn/k{k}_top1'] for k in ks]


def report(cfg: Config, checkpoint: str) -> dict[str, list[float]]:
    """Accuracies of raw pixels, the untrained network and the teacher.

    Raises:
        ValueError: The config has no k-NN validation.
    """
    if not (cfg.get('val_cfg') or {}).get('bank_dataloader'):
        raise ValueError(f'"{cfg.filename}" has no val_cfg.bank_dataloader: '
                         'this report needs a k-NN validation '
                         '(ibot_mm.KNNValLoop) of labeled images.')
    init_default_scope(cfg.get('default_scope', 'mmpretrain'))
    logging.disable(logging.WARNING)
    seed = cfg.get('randomness', {}).get('seed', 0)
    set_random_seed(seed)
    loaders = [
        Runner.build_dataloader(cfg.val_cfg.bank_dataloader, seed=seed),
        Runner.build_dataloader(cfg.val_dataloader, seed=seed)
    ]
    model = MODELS.build(cfg.model)
    model.init_weights()
    model.eval()
    settings = (model.data_preprocessor, loaders, list(cfg.val_cfg.k),
                cfg.val_cfg.temperature)
    rows = {
        'raw pixels': accuracies(lambda x: x.flatten(1), *settings),
        'untrained network': accuracies(model.extract_feat, *settings)
    }
    load_strict(model, weights_of(load_checkpoint(checkpoint)), checkpoint)
    rows['trained teacher'] = accuracies(model.extract_feat, *settings)
    return rows


def plot_curves(work_dir: Path, rows: dict[str, list[float]],
                out: Path) -> None:
    """Plot losses and k-NN accuracy over the iterations of all logs."""
    import matplotlib
    matplotlib.use('Agg')
    import matplotlib.pyplot as plt
    train, val = [], []
    for path in sorted(work_dir.glob('*/vis_data/scalars.json')):
        for line in path.read_text().splitlines():
            entry = json.loads(line)
            (train if 'loss' in entry else val).append(entry)
    if not train:
        raise FileNotFoundError(f'"{work_dir}" contains no training logs.')
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4))
    for key in ('loss_cls_local', 'loss_cls_global', 'loss_patch'):
        if key in train[0]:
            left.plot([e['step'] for e in train], [e[key] for e in train],
                      label=key)
    left.set(xlabel='iteration', ylabel='loss')
    per_epoch = max(e['step'] for e in train) / max(e['epoch'] for e in train)
    points = [(e['step'] * per_epoch, e['knn/top1']) for e in val
              if 'knn/top1' in e]
    right.plot(*zip(*points), marker='.', label='teacher')
    for name, style in (('untrained network', '--'), ('raw pixels', ':')):
        right.axhline(rows[name][0], linestyle=style, color='gray',
                      label=name)
    right.set(xlabel='iteration', ylabel='k-NN top-1 (%)')
    for axes in (left, right):
        axes.legend()
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(out, dpi=100)


@report_errors
def main() -> None:
    """Print the report."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('config', help='pre-training config')
    parser.add_argument('checkpoint', help='checkpoint of that training')
    parser.add_argument('--plot', type=Path, help='image file for the curves')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=ConfigOptions,
        metavar='KEY=VALUE',
        help='override config settings')
    args = parser.parse_args()
    cfg = read_config(args.config, args.cfg_options)
    rows = report(cfg, args.checkpoint)
    ks = list(cfg.val_cfg.k)
    print('\nk-NN top-1 accuracy (%)' +
          ''.join(f'{f"k = {k}":>9}' for k in ks))
    for name, values in rows.items():
        print(f'  {name:21}' + ''.join(f'{value:9.1f}' for value in values))
    work_dir = Path(args.checkpoint).parent
    print()
    if args.plot:
        plot_curves(work_dir, rows, args.plot)
        print(f'curves      {args.plot}')
    if (work_dir / 'crops.png').is_file():
        print(f'crops       {work_dir / "crops.png"}')
    print(f'checkpoint  {args.checkpoint}')
    print(f'logs        {work_dir} (tensorboard --logdir {work_dir})')


if __name__ == '__main__':
    main()
