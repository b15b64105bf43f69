"""What the log of a pre-training says about its health."""

import math
from typing import NamedTuple

from mmengine.config import Config

from ibot_mm.registry import HOOKS, MODELS

from .hooks import teacher_ema_hook, training_health_hook
from .hooks.training_health_hook import TrainingHealthHook

# Pairs (iteration, value) of the log, in order, by name.
Scalars = dict[str, list[tuple[int, float]]]
LABELS = dict(cls='CLS', patch='patch')


class Finding(NamedTuple):
    """A verdict, the numbers behind it, and what to do."""

    verdict: str
    numbers: str
    advice: str

    def __str__(self) -> str:
        advice = self.advice[0].upper() + self.advice[1:]
        return f'{self.verdict}: {self.numbers}. {advice}.'


def num_prototypes(cfg: Config) -> dict[str, int]:
    """K of the CLS tokens (``cls``) and of the patches (``patch``)."""
    head = MODELS.build(cfg.model.head)
    return dict(cls=len(head.center.value), patch=len(head.patch_center.value))


def health_hook(cfg: Config, scalars: Scalars) -> TrainingHealthHook:
    """The hook of a run, with the patience for its length."""
    settings = cfg.default_hooks.get('training_health') or dict(
        type='ibot_mm.TrainingHealthHook')
    # None only keeps the run from being stopped.
    hook = HOOKS.build(dict(settings, patience=settings.get(
        'patience') or 'auto'))
    # In epoch e, e epochs have this length or more.
    epochs = scalars.get('epoch', [(0, 1)])
    epoch_length = math.inf if epochs[-1][1] < 2 else max(
        iteration / epoch for iteration, epoch in epochs)
    hook.fit_patience(cfg.train_cfg.get('max_iters') or
                      cfg.train_cfg.max_epochs * epoch_length)
    return hook


def _relative_entropies(scalars: Scalars, counts: dict[str, int]
                        ) -> list[tuple[int, dict[str, float]]]:
    """Iterations, and the entropies there as fractions of log K."""
    points: dict[int, dict[str, float]] = {}
    for kind, count in counts.items():
        for iteration, value in scalars.get(f'entropy_{kind}', ()):
            if math.isfinite(value):
                points.setdefault(iteration, {})[kind] = (
                    value / math.log(count))
    return sorted(points.items())


def _in_words(relative: dict[str, float], scalars: Scalars,
              counts: dict[str, int]) -> str:
    """Entropies, and prototypes in use."""
    words = []
    for kind, share in relative.items():
        limit = math.log(counts[kind])
        used = scalars[f'prototypes_{kind}'][-1][1] * counts[kind]
        words.append(
            f'{LABELS[kind]} entropy {share * limit:.3f} of log K = '
            f'{limit:.3f} ({share:.1%}), {used:.0f} of {counts[kind]} '
            'prototypes in use')
    return '; '.join(words)


def judge_collapse(scalars: Scalars, cfg: Config) -> Finding:
    """Whether the entropies show a collapse, by the rules of the hook."""
    hook, counts = health_hook(cfg, scalars), num_prototypes(cfg)
    points = _relative_entropies(scalars, counts)
    if len(points) < 2:
        return Finding(
            'too short to tell',
            f'entropies of the teacher in the log: {len(points)}',
            'train longer, or lower default_hooks.training_health.interval '
            f'({hook.interval}) and default_hooks.logger.interval')
    last, relative = points[-1]
    numbers = _in_words(relative, scalars, counts)
    # The hook ends a run before the last interval is logged.
    unlogged = max(hook.interval, last - points[-2][0])
    for kind, name in (('uniform', 'uniform'), ('one_hot', 'one prototype')):
        begin = max((iteration for iteration, values in points
                     if not hook.collapses([*values.values()])[kind]),
                    default=0)
        lasted = last - begin
        if not lasted:
            continue
        numbers += f'; {name} for {lasted} iterations'
        if lasted + unlogged >= hook.patience:
            return Finding(f'collapsed to {name}', numbers,
                           training_health_hook.ADVICE[kind])
        return Finding('too short to tell',
                       f'{numbers}, and the patience is {hook.patience:g}',
                       f'look again later: a network may start as {name}')
    return Finding('healthy', numbers, 'go on')


def judge(scalars: Scalars, cfg: Config) -> list[Finding]:
    """Judge a run by its log.

    The limits are those of ``TrainingHealthHook`` and ``TeacherEMAHook``.

    Args:
        scalars: The log.
        cfg: Its config.

    Returns:
        One or more findings; 'healthy' is the only one.
    """
    findings = []
    iteration, share = scalars.get('teacher_initial_share', [(0, 0.)])[-1]
    part = teacher_ema_hook.randomly_initialized(cfg)
    if part and share > teacher_ema_hook.HIGH_SHARE:
        findings.append(Finding(
            'teacher still has initial weights',
            f'{share:.0%} of {part} are the random ones of the start, after '
            f'{iteration} iterations',
            'go on; or, at the end of a run, ' + teacher_ema_hook.ADVICE))
    iteration, skipped = scalars.get('skipped_steps', [(0, 0)])[-1]
    if skipped:
        findings.append(Finding(
            'steps skipped', f'{skipped:g} in {iteration} iterations',
            'see nonfinite/ in the work dir; if they become more, '
            + training_health_hook.ADVICE['nonfinite']))
    collapse = judge_collapse(scalars, cfg)
    if collapse.verdict == 'healthy' and findings:
        return findings
    return [collapse, *findings]
