"""Verdicts on logs whose content is known."""

import math

import pytest

from ibot_mm.engine import TrainingHealthError, TrainingHealthHook
from ibot_mm.engine.health_verdict import judge
from tests.helpers.health import (
    GivenEntropies,
    HealthRunner,
    log_line,
    write_log,
)
from tests.helpers.in_process import import_tool


def verdicts(tmp_path, lines, **settings):
    read_run = import_tool('visualization/plot_health.py').read_run
    run = read_run(write_log(tmp_path / 'run', lines, **settings), 'run')
    return judge(run.scalars, run.cfg)


def phase(start, stop, **values):
    return [log_line(i, **values) for i in range(start, stop + 1, 50)]


def test_a_healthy_run(tmp_path):
    finding, = verdicts(tmp_path, phase(50, 1000, cls=0.6, patch=0.25))
    assert finding.verdict == 'healthy'
    # log 256 = 5.545; 0.6 and a quarter of it; half of the prototypes
    for number in ('CLS entropy 3.327', 'patch entropy 1.386', '5.545',
                   '128 of 256'):
        assert number in finding.numbers


@pytest.mark.parametrize('values, verdict, numbers, advice', [
    (dict(cls=0.995), 'collapsed to uniform', 'CLS entropy 5.517', 'lower'),
    (dict(patch=1.0), 'collapsed to uniform', 'patch entropy 5.545', 'lower'),
    (dict(cls=0.0, used=1 / 256), 'collapsed to one prototype',
     'CLS entropy 0.000', 'raise'),
    (dict(patch=0.005), 'collapsed to one prototype', 'patch entropy 0.028',
     'raise'),
])
def test_a_collapse(tmp_path, values, verdict, numbers, advice):
    lines = phase(50, 300) + phase(350, 850, **values)
    finding, = verdicts(tmp_path, lines)
    assert finding.verdict == verdict
    assert numbers in finding.numbers and '550 iterations' in finding.numbers
    assert advice in finding.advice and 'teacher_temperature' in finding.advice
    if 'used' in values:
        assert ' 1 of 256 prototypes' in finding.numbers


@pytest.mark.parametrize('values, name', [
    (dict(cls=0.991), 'uniform'), (dict(cls=0.009), 'one prototype')])
def test_a_collapse_shorter_than_the_patience(tmp_path, values, name):
    finding, = verdicts(tmp_path, phase(50, 300, **values))
    assert finding.verdict == 'too short to tell' and name in finding.advice
    for number in ('300 iterations', 'patience is 500'):
        assert number in finding.numbers


@pytest.mark.parametrize('values', [
    dict(cls=0.989), dict(cls=0.011), dict(cls=math.nan, patch=0.5)])
def test_within_the_limits(tmp_path, values):
    finding, = verdicts(tmp_path, phase(50, 1000, **values))
    assert finding.verdict == 'healthy'


def test_a_run_that_has_recovered(tmp_path):
    lines = phase(50, 700, cls=1.) + phase(750, 800)
    finding, = verdicts(tmp_path, lines)
    assert finding.verdict == 'healthy'


@pytest.mark.parametrize('lines', [[], phase(50, 50)])
def test_a_log_without_a_course(tmp_path, lines):
    finding, = verdicts(tmp_path, lines)
    assert finding.verdict == 'too short to tell'
    assert finding.numbers.endswith(f': {len(lines)}')
    assert 'interval (50)' in finding.advice


@pytest.mark.parametrize('patience', ['auto', None])
@pytest.mark.parametrize('epoch_length, iterations, verdict', [
    # 100 epochs of 10 are 1,000 iterations: half of them is 500.
    (10, 400, 'too short to tell'),
    (10, 450, 'collapsed to uniform'),
    # of 100, 10,000: half is 5,000
    (100, 4900, 'too short to tell'),
    (100, 4950, 'collapsed to uniform'),
    # In the first epoch its length is not known yet.
    (5000, 4950, 'too short to tell'),
])
def test_automatic_patience(tmp_path, epoch_length, iterations, verdict,
                            patience):
    """None keeps the hook from stopping a run, not the verdict."""
    lines = phase(50, iterations, cls=1.)
    for line in lines:
        line['epoch'] = math.ceil(line['iter'] / epoch_length)
    finding, = verdicts(tmp_path, lines, patience=patience, max_epochs=100)
    assert finding.verdict == verdict


@pytest.mark.parametrize('patience', [120, 150, 250])
@pytest.mark.parametrize('cls, verdict', [
    (1., 'collapsed to uniform'), (0., 'collapsed to one prototype')])
def test_what_the_hook_stops_is_a_collapse(tmp_path, patience, cls, verdict):
    """The log of a stopped run lacks its last interval."""
    hook, runner = TrainingHealthHook(patience=patience), HealthRunner(
        tmp_path)
    hook.statistics = GivenEntropies()
    hook.statistics.cls = cls
    lines = []
    with pytest.raises(TrainingHealthError):
        for _ in range(400):
            hook.before_train_iter(runner, 0)
            for usage in hook.statistics.usage.values():
                usage.add(hook.statistics.compute()['kl_cls'].new_ones(1, 40))
            hook.after_train_iter(runner, 0)
            runner.iter += 1
            if runner.iter % 50 == 0:
                logged = runner.message_hub.log_scalars
                lines.append(log_line(runner.iter, **{
                    name: logged[f'train/{name}'].current()
                    for name in ('entropy_cls', 'entropy_patch')}))
    finding, = verdicts(tmp_path, lines, patience=patience, num_prototypes=40)
    assert finding.verdict == verdict


def test_what_else_there_is_to_say(tmp_path):
    lines = phase(50, 950) + [log_line(
        1000, teacher_initial_share=0.63, skipped_steps=3)]
    teacher, skipped = verdicts(tmp_path, lines)
    assert teacher.verdict == 'teacher still has initial weights'
    assert '63%' in teacher.numbers and '1000 it' in teacher.numbers
    assert 'max_initial_share' in teacher.advice
    assert skipped.verdict == 'steps skipped'
    assert '3 in 1000' in skipped.numbers and 'nonfinite' in skipped.advice
    lines[-1].update(log_line(1000, cls=1.))
    assert [f.verdict for f in judge_lines(tmp_path, lines)] == [
        'too short to tell', teacher.verdict, skipped.verdict]
    lines[-1].update(teacher_initial_share=0.1, skipped_steps=0)
    assert [f.verdict for f in judge_lines(tmp_path, lines)] == [
        'too short to tell']


def judge_lines(tmp_path, lines):
    return verdicts(tmp_path / str(lines[-1]['skipped_steps']), lines)


def test_a_single_sentence_per_finding(tmp_path):
    text, = map(str, verdicts(tmp_path, phase(50, 1000, cls=1.)))
    assert text.startswith('collapsed to uniform: CLS') and '\n' not in text
    assert '. Lower the teacher temp' in text  # what the hook advises
