"""Results of the protocols: what the table shows of each."""

from typing import Any

from evaluation.protocol_configs import PROTOCOLS
from evaluation.test_set_configs import CLASSIFIER
from mmengine.config import Config

# The metric of each protocol in the table.
METRICS = dict(
    knn='knn/top1', logistic='logistic/top1', unsupervised='unsupervised/acc',
    linear='linear/top1', finetune='accuracy/top1', transfer='accuracy/top1',
    semi='accuracy/top1', parts='linear/top1',
    **{'occlusion': 'perturbation/salient_at_0.5',
       'imagenet-9': 'in9/mixed_rand', 'imagenet-a': 'restricted/top1',
       'imagenet-r': 'restricted/top1', 'imagenet-v2': 'restricted/top1',
       'imagenet-c': 'corruption/mean_19', 'roxford5k': 'revisited/medium_mAP',
       'rparis6k': 'revisited/medium_mAP', 'copydays': 'copydays/strong_mAP',
       'davis2017': 'davis/J&F'})
# Further metrics, and how the table names them.
DETAILS = {
    'occlusion': {
        'perturbation/clean': 'unchanged',
        'perturbation/non_salient_at_0.5': 'non-salient',
        'perturbation/random_at_0.5': 'random'},
    'imagenet-9': {
        'in9/original': 'original', 'in9/mixed_same': 'mixed-same',
        'in9/bg_gap': 'gap', 'in9/only_fg': 'foreground',
        'in9/only_bg_t': 'background'},
    'imagenet-c': {
        'corruption/mean_15': 'mean of 15', 'corruption/mce': 'mCE'},
    'roxford5k': {'revisited/hard_mAP': 'hard'},
    'rparis6k': {'revisited/hard_mAP': 'hard'},
    'davis2017': {'davis/J': 'J', 'davis/F': 'F'},
}


def settings_of(protocol: str, cfg: Config, processes: int) -> str:
    """Summary of the settings of a protocol for the table."""
    if protocol == 'knn':
        return f'k = {", ".join(map(str, cfg.test_cfg.protocol.k))}'
    if protocol == 'logistic':
        return 'lambda = ' + ', '.join(
            f'{x:g}' for x in cfg.test_cfg.protocol.lambdas)
    if protocol == 'unsupervised':
        return f'{cfg.model.neck.num_prototypes} prototypes'
    if protocol not in PROTOCOLS:
        return test_set_settings(protocol, cfg)
    batch = (cfg.train_dataloader.batch_size * processes
             * cfg.optim_wrapper.get('accumulative_counts', 1))
    epochs = f'{cfg.train_cfg.max_epochs} epochs, batch {batch}'
    if protocol == 'linear':
        return f'{epochs}, 45 rates'
    if protocol == 'parts':
        return f'{cfg.model.num_parts} patches, {epochs}, 45 rates'
    rate = cfg.optim_wrapper.optimizer.lr * batch / (
        cfg.auto_scale_lr.base_batch_size)
    return f'{epochs}, lr {rate:.3g}'


def test_set_settings(protocol: str, cfg: Config) -> str:
    """Summary of the settings of a protocol with a test set of its own."""
    if protocol == 'occlusion':
        return f'{cfg.test_cfg.repeats} repeats'
    if protocol in CLASSIFIER:
        return 'linear classifier'
    if protocol == 'davis2017':
        return (f'{cfg.test_cfg.protocol.num_frames} frames, top '
                f'{cfg.test_cfg.protocol.topk}')
    if protocol == 'copydays':
        dataset = cfg.test_cfg.bank_dataloader.dataset
        return ', '.join(f'with {name}' for name in (
            'distractors', 'whitening') if dataset.get(name)) or 'originals'
    return f'{len(cfg.model.scales)} scales'


def detail_of(protocol: str, metrics: dict[str, Any]) -> str:
    """Details of the result, such as the best learning rate or other k."""
    if protocol == 'knn':
        return ', '.join(f'k{key[5:-5]} {value:.1f}' for key, value in
                         metrics.items() if key.endswith('_top1'))
    if protocol == 'logistic':
        return f'lambda {metrics["logistic/lambda"]:g}'
    if protocol in ('linear', 'parts'):
        return f'lr {metrics["linear/lr"]:g}'
    if protocol in DETAILS:
        return ', '.join(f'{name} {metrics[key]:.1f}' for key, name
                         in DETAILS[protocol].items() if key in metrics)
    if protocol == 'unsupervised':
        return ', '.join(f'{key.upper()} {metrics[f"unsupervised/{key}"]:.1f}'
                         for key in ('ari', 'nmi', 'fmi'))
    return f'top-5 {metrics["accuracy/top5"]:.1f}' if (
        'accuracy/top5' in metrics) else ''


def table(results: dict[str, dict[str, dict]], protocols: list[str]) -> str:
    """Markdown table with a row per protocol and a column per checkpoint."""
    names = list(results)
    lines = [
        '| protocol | metric | settings | ' + ' | '.join(names)
        + ' | details | time | memory |',
        '|---' * (6 + len(names)) + '|'
    ]
    for protocol in protocols:
        row = [results[name][protocol] for name in names]
        values = [f'{r["value"]:.1f}' if 'value' in r else
                  'failed' if 'error' in r else '-' for r in row]
        last = row[-1]
        detail = detail_of(protocol, last['metrics']) if (
            'metrics' in last) else last['error']
        lines.append(
            f'| {protocol} | {METRICS[protocol]} | {last["settings"]} | '
            + ' | '.join(values)
            + f' | {detail} | {sum(r["seconds"] for r in row):.0f} s | '
            f'{max(r["memory_mib"] for r in row):,} MiB |')
    return '\n'.join(lines)
