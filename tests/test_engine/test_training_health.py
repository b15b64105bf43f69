"""What the health hook logs, stops for and keeps."""

import math
from types import SimpleNamespace

import pytest
import torch

from ibot_mm.engine import TrainingHealthError, TrainingHealthHook
from tests.helpers.health import GivenEntropies, HealthRunner


@pytest.fixture
def runner(tmp_path):
    return HealthRunner(tmp_path)


def train(hook, runner, steps, loss=1., cls=0.5, patch=0.5):
    """Iterations with given entropies (as fractions of log K)."""
    if not isinstance(hook.statistics, GivenEntropies):
        hook.statistics = GivenEntropies()
    hook.statistics.cls, hook.statistics.patch = cls, patch
    sampled = []
    for _ in range(steps):
        hook.before_train_iter(runner, 0)
        sampled.append(runner.model.head.observer is not None)
        for usage in hook.statistics.usage.values():
            usage.add(torch.eye(40)[:1])
        hook.after_train_iter(
            runner, 0, outputs=dict(loss=torch.tensor(loss)))
        runner.iter += 1
    return sampled


def save(runner, name):
    path = f'{runner.work_dir}/{name}'
    torch.save(dict(name=name), path)
    with open(f'{runner.work_dir}/last_checkpoint', 'w') as file:
        file.write(path)
    return path


def test_statistics_are_spread_over_the_interval(runner):
    hook = TrainingHealthHook(interval=10, samples=3)
    sampled = train(hook, runner, 20)
    assert [i for i, s in enumerate(sampled) if s] == [3, 6, 9, 13, 16, 19]


def test_healthy_training_continues_and_logs_statistics(runner):
    hook = TrainingHealthHook(interval=10, patience=10)
    hook.statistics = GivenEntropies()
    hook.statistics.usage['cls'].add(torch.eye(40)[:10])
    train(hook, runner, 10, cls=0.25, patch=None)
    scalars = runner.message_hub.log_scalars
    assert scalars['train/entropy_cls'].current() == pytest.approx(
        0.25 * math.log(40))
    assert 'train/entropy_patch' not in scalars
    assert scalars['train/prototypes_cls'].current() == 0.25
    assert scalars['train/prototypes_patch'].current() == pytest.approx(1 / 40)
    train(hook, runner, 90)
    assert scalars['train/prototypes_cls'].current() == pytest.approx(1 / 40)


@pytest.mark.parametrize('cls,patch,words', [
    (0.995, 0.5, 'uniform'),
    (0.5, 0.995, 'uniform'),
    (0.995, None, 'uniform'),
    (0.005, 0.5, 'one-hot'),
    (0.5, 0.005, 'one-hot'),
])
def test_collapse_stops_after_its_patience(runner, cls, patch, words):
    hook = TrainingHealthHook(interval=10, patience=50)
    train(hook, runner, 40)
    save(runner, 'epoch_1.pth')
    train(hook, runner, 10)
    train(hook, runner, 40, cls=cls, patch=patch)
    train(hook, runner, 10)  # it recovers, and the count restarts
    train(hook, runner, 49, cls=cls, patch=patch)
    with pytest.raises(TrainingHealthError) as error:
        train(hook, runner, 1, cls=cls, patch=patch)
    message = str(error.value)
    assert words in message and ' 50 iterations' in message
    assert 'iteration 150' in message and 'teacher_temperature' in message
    assert f'{runner.work_dir}/last_good.pth' in message


def kept(runner):
    return torch.load(f'{runner.work_dir}/last_good.pth')['name']


def test_last_good_checkpoint_outlives_rotation(runner, tmp_path):
    hook = TrainingHealthHook(interval=10, patience=None)
    hook.before_train(runner)
    save(runner, 'epoch_1.pth')
    train(hook, runner, 10)
    (tmp_path / 'epoch_1.pth').unlink()  # by max_keep_ckpts
    train(hook, runner, 10, cls=1.)
    save(runner, 'epoch_2.pth')  # from the collapse
    train(hook, runner, 30, cls=1.)
    assert kept(runner) == 'epoch_1.pth'
    train(hook, runner, 10)  # it recovered
    save(runner, 'epoch_3.pth')
    train(hook, runner, 10)
    assert kept(runner) == 'epoch_3.pth'


def test_a_full_disk_does_not_end_the_training(runner, monkeypatch):
    def full(*args):
        raise OSError(28, 'No space left on device')

    errors = []
    runner.logger = SimpleNamespace(error=errors.append)
    hook = TrainingHealthHook(interval=10)
    save(runner, 'epoch_1.pth')
    with monkeypatch.context() as patch:
        patch.setattr('os.link', full)
        patch.setattr('shutil.copy', full)
        train(hook, runner, 10)
    assert 'last_good.pth' in errors[0] and 'No space' in errors[0]
    train(hook, runner, 10)
    assert kept(runner) == 'epoch_1.pth' and len(errors) == 1


def test_resuming_keeps_the_good_checkpoint(runner):
    """The latest one, from the collapse, is not taken for a good one."""
    hook = TrainingHealthHook(interval=10)
    hook.before_train(runner)
    save(runner, 'epoch_1.pth')
    train(hook, runner, 10)
    save(runner, 'epoch_2.pth')
    train(hook, runner, 10, patch=1.)
    resumed = TrainingHealthHook(interval=10)
    resumed.before_train(runner)
    train(resumed, runner, 30)
    assert kept(runner) == 'epoch_1.pth'


def test_a_collapse_from_the_start_has_no_good_checkpoint(runner):
    hook = TrainingHealthHook(interval=10, patience=20)
    hook.before_train(runner)
    save(runner, 'epoch_1.pth')
    with pytest.raises(TrainingHealthError, match='none'):
        train(hook, runner, 20, cls=1.)


def test_a_non_finite_weight_stops(runner):
    hook = TrainingHealthHook(interval=5)
    train(hook, runner, 5)
    with torch.no_grad():
        runner.model.backbone.cls_token[..., 2] = math.inf
    with pytest.raises(TrainingHealthError, match='weight'):
        train(hook, runner, 5)


def test_a_skipped_step_does_not_hide_a_collapse(runner):
    """Its statistics are non-finite; those of the others count."""
    hook = TrainingHealthHook(interval=10, patience=20)
    train(hook, runner, 5, cls=1.)
    train(hook, runner, 2, loss=math.nan, cls=math.nan, patch=math.nan)
    train(hook, runner, 3, cls=1.)
    # Nothing is known of this interval.
    train(hook, runner, 10, loss=math.nan, cls=math.nan, patch=math.nan)
    with pytest.raises(TrainingHealthError, match='uniform'):
        train(hook, runner, 10, cls=1.)


def test_non_finite_weights_are_not_saved(runner):
    hook = TrainingHealthHook()
    state = runner.model.state_dict()
    hook.before_save_checkpoint(runner, dict(state_dict=state))
    state['head.center.value'][3] = math.nan
    with pytest.raises(TrainingHealthError, match='"head.center.value"'):
        hook.before_save_checkpoint(runner, dict(state_dict=state))


@pytest.mark.parametrize('settings', [
    dict(samples=0), dict(samples=60), dict(tolerance=0.),
    dict(tolerance=0.5)])
def test_settings_out_of_range(settings):
    (name, value), = settings.items()
    with pytest.raises(ValueError, match=rf'{name} \({value}\)'):
        TrainingHealthHook(**settings)


@pytest.mark.parametrize('settings,expected', [
    (dict(), 500), (dict(patience=700), 700), (dict(patience=None), math.inf)])
def test_patience_fits_the_run(runner, settings, expected):
    """Half of 1,000 iterations, unless the config says otherwise."""
    hook = TrainingHealthHook(interval=10, **settings)
    hook.before_train(runner)
    assert hook.patience == expected
