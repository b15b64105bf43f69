"""Make an image classifier of a linear probe: its backbone and best head.

    python tools/model_converters/merge_linear_head.py \
        work_dirs/LINEAR/best_linear_top1_epoch_97.pth classifier.pth

Takes a checkpoint of a linear probe and, of its heads (one for each learning
rate), the one with the best validation accuracy at the epoch of the
checkpoint, as the log in the same folder tells. Writes the weights of a
LinearClassifier with the names of its classes, and beside them
classifier.py, which tests it on the validation set of the probe:

    python tools/test.py classifier.py classifier.pth

The accuracy is that of the head in the log of the probe. MMPretrain's
ImageClassificationInferencer takes both files, and
configs/benchmarks/robustness/ the second.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config

from ibot_mm.checkpoints.atomic_write import atomic_write
from ibot_mm.checkpoints.load import CheckpointError, load_checkpoint
from ibot_mm.checkpoints.pretrained import weights_of
from ibot_mm.checkpoints.stored_config import stored_config
from ibot_mm.command_line import CommandParser, report_errors
from ibot_mm.models.classifiers.linear_probe import LEARNING_RATES

KEPT = ('default_scope', 'custom_imports', 'default_hooks', 'env_cfg',
        'visualizer', 'log_level', 'test_dataloader', 'test_cfg')


def best_rate(checkpoint: dict[str, Any], work_dir: Path) -> dict[str, float]:
    """What the log of a probe says about an epoch.

    Args:
        checkpoint: Of this epoch.
        work_dir: Of the run.

    Returns:
        ``linear/lr`` and ``linear/top1`` of the validation.

    Raises:
        CheckpointError: The log is missing, or has no validation then.
    """
    epoch = checkpoint['meta']['epoch']
    entries = [json.loads(line)
               for path in sorted(work_dir.glob('*/vis_data/scalars.json'))
               for line in path.read_text().splitlines()]
    found = [entry for entry in entries
             if 'linear/lr' in entry and entry['step'] == epoch]
    if not found:
        raise CheckpointError(
            f'no log in "{work_dir}" (TIME/vis_data/scalars.json) has the '
            f'validation after epoch {epoch}: leave the checkpoint in the '
            'folder of its run, or choose a head with --head.')
    return found[-1]  # the last run, if it was resumed


def classifier_config(settings: dict[str, Any]) -> dict[str, Any]:
    """Config that tests the classifier, from that of the probe."""
    model = settings['model']
    backbone = {key: value for key, value in model['backbone'].items()
                if key != 'init_cfg'}
    config = {key: settings[key] for key in KEPT if key in settings}
    config['default_hooks'] = {
        key: hook for key, hook in config['default_hooks'].items()
        if key != 'checkpoint'}
    config['model'] = dict(
        type='ibot_mm.LinearClassifier',
        backbone=backbone,
        **{key: model[key] for key in ('n_last_blocks', 'pooling', 'num_parts')
           if key in model},
        data_preprocessor=dict(model['data_preprocessor'],
                               num_classes=model['num_classes']))
    config['test_evaluator'] = dict(
        type='Accuracy', topk=(1, min(5, model['num_classes'])))
    return config


def merge(checkpoint: dict[str, Any], source: str,
          head: int | None) -> tuple[dict[str, Any], dict[str, Any], int]:
    """Classifier of a probe.

    Args:
        checkpoint: Content of the file.
        source: Its path; the log is looked for in its folder.
        head: Index of the head; None for the best one of the log.

    Returns:
        Content of the classifier's checkpoint, its config and the index.

    Raises:
        CheckpointError: It is no checkpoint of a linear probe with its
            config, the log does not tell the best head, or there is no such
            head.
    """
    settings, state = stored_config(checkpoint), dict(weights_of(checkpoint))
    model = settings.get('model') or {}
    if model.get('type') != 'ibot_mm.LinearProbe' or 'weight' not in state:
        raise CheckpointError(
            f'"{source}" is no checkpoint of a linear probe: its config has '
            f'the model {model.get("type")}, not ibot_mm.LinearProbe.')
    weight, bias = state.pop('weight'), state.pop('bias')
    if head is None:
        rates = list(model.get('learning_rates', LEARNING_RATES))
        rate = best_rate(checkpoint, Path(source).parent)['linear/lr']
        head = min(range(len(rates)), key=lambda i: abs(rates[i] - rate))
    if not 0 <= head < len(weight):
        raise CheckpointError(f'--head {head}: "{source}" has {len(weight)} '
                              'heads, from 0.')
    state['head.fc.weight'], state['head.fc.bias'] = weight[head], bias[head]
    config = classifier_config(settings)
    config['model']['head'] = dict(
        type='LinearClsHead', num_classes=len(bias[head]),
        in_channels=weight.shape[2])
    meta = checkpoint['meta']
    return dict(
        state_dict={k: v.clone() for k, v in state.items()},
        meta=dict(
            cfg=Config(config).pretty_text,
            dataset_meta=meta.get('dataset_meta') or {},
            epoch=meta.get('epoch'))), config, head


@report_errors
def main() -> None:
    """Read, merge, write."""
    parser = CommandParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('source', help='checkpoint of a linear probe')
    parser.add_argument('target', type=Path, help='file to write (.pth)')
    parser.add_argument('--head', type=int, help='index of the head, from 0 '
                        '(default: the best one in the log)')
    args = parser.parse_args()
    checkpoint, config, head = merge(
        load_checkpoint(args.source), args.source, args.head)
    args.target.parent.mkdir(parents=True, exist_ok=True)
    with atomic_write(args.target) as part:
        torch.save(checkpoint, part)
    path = args.target.with_suffix('.py')
    Config(config).dump(str(path))
    print(f'wrote head {head} and the backbone to {args.target}; test it '
          f'with: python tools/test.py {path} {args.target}')


if __name__ == '__main__':
    main()
