"""Steps with non-finite losses or gradients are skipped."""

import copy
import math
from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.optim import OptimWrapper, build_optim_wrapper

from ibot_mm import config_path
from ibot_mm.engine import (
    PretrainOptimWrapper,
    SkippedStepHook,
    TeacherEMAHook,
    TrainingHealthError,
)
from ibot_mm.engine.optimizers.nonfinite_check import NonfiniteCheck
from tests.helpers.builders import batch, build_model, needs_cpu_float16

GPU = (pytest.mark.cuda,
       pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU'))


def wrapper_of(model, fused=True, **changes):
    optimizer = dict(type='AdamW', lr=1e-2, weight_decay=0.1)
    if not fused:
        optimizer['foreach'] = True
    return build_optim_wrapper(
        model,
        dict(
            constructor='ibot_mm.PretrainOptimWrapperConstructor',
            clip_grad=dict(type='per_parameter', max_norm=0.1),
            optimizer=optimizer,
            **changes))


def state_of(model, wrapper):
    """Copies of everything that a step changes."""
    return copy.deepcopy(
        dict(model=model.state_dict(),
             moments=wrapper.optimizer.state_dict()['state']))


def assert_equal(a, b):
    assert a['model'].keys() == b['model'].keys()
    assert all(torch.equal(v, b['model'][k]) for k, v in a['model'].items())
    assert a['moments'].keys() == b['moments'].keys()
    for key, moments in a['moments'].items():
        assert all(torch.equal(v, b['moments'][key][k])
                   for k, v in moments.items())


class Training:
    """Steps of a tiny IBOT with its teacher and centers."""

    def __init__(self, device='cpu', **settings):
        self.model = build_model().to(device)
        self.optim_wrapper = wrapper_of(self.model, **settings)
        self.ema, self.iter, self.max_iters = TeacherEMAHook(0.9), 0, 100
        self.message_hub = SimpleNamespace(update_scalar=lambda *args: None)

    def step(self, seed, loss_factor=1., poison=None):
        """One iteration; ``poison`` may change the parameters' gradients."""
        handle = poison and self.model.neck.mlp[0].weight.register_hook(poison)
        data = self.model.data_preprocessor(batch(2, seed=seed))
        with self.optim_wrapper.optim_context(self.model):
            losses = self.model.loss(data['inputs'])
            self.optim_wrapper.update_params(
                sum(losses.values()) * loss_factor)
        if handle:
            handle.remove()
        self.ema.after_train_iter(self, 0)
        self.iter += 1

    @property
    def state(self):
        return state_of(self.model, self.optim_wrapper)


@pytest.mark.parametrize('value', [math.nan, math.inf, -math.inf])
def test_the_check_of_losses(value):
    check = NonfiniteCheck()
    check.add(torch.tensor(1.))
    assert check.all_finite()
    check.add(torch.tensor(value))
    check.add(torch.tensor(2.))
    assert not check.all_finite()
    assert check.all_finite()  # it has no memory of the last step


@pytest.mark.parametrize('settings', [
    {},
    dict(fused=False),
    dict(dtype='bfloat16'),
    pytest.param(
        dict(dtype='float16', loss_scale=256.), marks=needs_cpu_float16),
    pytest.param(dict(device='cuda'), marks=GPU),
    pytest.param(dict(device='cuda', dtype='bfloat16'), marks=GPU),
])
def test_a_non_finite_loss_changes_nothing(settings):
    """The training continues like one that never saw it."""
    disturbed, other = Training(**settings), Training(**settings)
    for training in (disturbed, other):
        training.step(0)
    before = disturbed.state
    disturbed.step(1, loss_factor=math.nan)
    assert disturbed.optim_wrapper.skipped
    assert not disturbed.optim_wrapper.stepped
    assert_equal(disturbed.state, before)
    disturbed.iter -= 1  # momentum follows the iterations
    for training in (disturbed, other):
        training.step(2)
    assert disturbed.optim_wrapper.stepped
    assert not disturbed.optim_wrapper.skipped
    if settings.get('device') == 'cuda':
        # Kernels add in any order, and AdamW amplifies the differences.
        for value in (lambda x: x.optim_wrapper.grad_norm,
                      lambda x: x.model.head.center.value):
            torch.testing.assert_close(value(disturbed), value(other),
                                       rtol=0.02, atol=1e-3)
    else:
        assert_equal(disturbed.state, other.state)
    assert not torch.equal(disturbed.model.head.center.value,
                           before['model']['head.center.value'])


def test_one_bad_part_of_an_accumulated_step_spoils_all_of_it():
    disturbed, other = (Training(accumulative_counts=2) for _ in range(2))
    disturbed.optim_wrapper.initialize_count_status(disturbed.model, 0, 100)
    other.optim_wrapper.initialize_count_status(other.model, 0, 100)
    before = disturbed.state
    disturbed.step(0, loss_factor=math.inf)
    disturbed.step(1)
    assert disturbed.optim_wrapper.skipped
    assert_equal(disturbed.state, before)
    disturbed.iter = 0
    for training in (disturbed, other):
        training.step(2)
        training.step(3)
    assert_equal(disturbed.state, other.state)


@pytest.mark.parametrize('settings', [
    dict(fused=True),
    dict(fused=False),
    pytest.param(dict(device='cuda'), marks=GPU),
])
def test_non_finite_gradients_leave_weights_and_moments(settings):
    training = Training(**settings)
    training.step(0)
    before = training.state
    names = [n for n, p in training.model.named_parameters()
             if p.requires_grad]
    for value in (math.inf, math.nan):
        training.step(1, poison=lambda grad: torch.full_like(grad, value))
    after = training.state
    assert all(torch.equal(after['model'][n], before['model'][n])
               for n in names)
    for key, moments in before['moments'].items():
        assert all(torch.equal(v, after['moments'][key][k])
                   for k, v in moments.items())
    assert training.optim_wrapper.bad_gradients.tolist() == [2, 2]
    training.step(2)
    after = training.state
    assert not all(torch.equal(after['model'][n], before['model'][n])
                   for n in names)
    assert all(v.isfinite().all() for v in after['model'].values())
    assert training.optim_wrapper.bad_gradients.tolist() == [2, 0]


@needs_cpu_float16
def test_float16_that_never_works_is_no_step():
    """The scaler halves its scale until it is 0."""
    training = Training(dtype='float16', loss_scale=2.**-140)
    for _ in range(12):
        training.step(1, poison=lambda grad: torch.full_like(grad, math.nan))
        assert not training.optim_wrapper.stepped
    assert training.optim_wrapper.loss_scaler.get_scale() == 0
    assert training.optim_wrapper.backed_off == 12


def test_other_classifiers_survive_one_that_diverges():
    """The linear protocol's losses are independent of each other."""
    cfg = Config.fromfile(config_path(
        'benchmarks/classification/linear/'
        'ibot_vit-small-p16_linear-8xb128-100e_in1k.py'))
    assert cfg.optim_wrapper.skip_nonfinite is False
    rows = torch.nn.Parameter(torch.zeros(2))
    wrapper = PretrainOptimWrapper(
        torch.optim.SGD([rows], lr=0.5), skip_nonfinite=False)
    wrapper.update_params((rows * torch.tensor([1., math.inf])).sum())
    assert wrapper.stepped and float(rows[0]) == -0.5


class FakeRunner:
    rank, epoch = 0, 0

    def __init__(self, work_dir, accumulation=1):
        self.work_dir = str(work_dir)
        self.iter, self.saved, self.warnings = 0, [], []
        self.message_hub = MessageHub(f'test_skipped_{id(self)}')
        self.logger = SimpleNamespace(warning=self.warnings.append)
        self.optim_wrapper = SimpleNamespace(
            accumulative_counts=accumulation,
            bad_gradients=None,
            backed_off=0,
            should_update=lambda: (self.iter + 1) % accumulation == 0)

    def save_checkpoint(self, folder, name, meta, backend_args):
        self.saved.append((folder, name, meta))

    def after(self, hook, loss, files):
        wrapper = self.optim_wrapper
        ends = wrapper.should_update()
        wrapper.skipped = ends and not math.isfinite(loss)
        wrapper.stepped = ends and math.isfinite(loss)
        hook.after_train_iter(
            self, 0, dict(img_paths=files),
            dict(loss=torch.tensor(loss), lr=1))
        self.iter += 1


def test_report_counts_and_state(tmp_path):
    runner, hook = FakeRunner(tmp_path), SkippedStepHook(max_in_a_row=3)
    runner.after(hook, 1., ['a.jpg'])
    runner.after(hook, math.nan, ['b 1.jpg', 'ü.jpg'])
    runner.after(hook, math.inf, ['c.jpg'])
    assert (tmp_path / 'nonfinite' / 'rank0.txt').read_text() == (
        'iteration 2: loss nan\n  b 1.jpg\n  ü.jpg\n'
        'iteration 3: loss inf\n  c.jpg\n')
    # Once, and before the iteration counts as done.
    assert runner.saved == [(str(tmp_path / 'nonfinite'), 'state.pth',
                             dict(epoch=0, iter=1))]
    assert runner.message_hub.get_info('skipped_steps') == 2
    assert 'Iteration 3' in runner.warnings[1] and '2.' in runner.warnings[1]
    runner.after(hook, 1., ['a.jpg'])
    runner.after(hook, math.nan, ['d.jpg'])
    runner.after(hook, math.nan, ['e.jpg'])
    with pytest.raises(TrainingHealthError) as error:
        runner.after(hook, math.nan, ['f.jpg'])
    assert str(tmp_path / 'nonfinite') in str(error.value)
    assert 'optim_wrapper.optimizer.lr' in str(error.value)


def test_files_of_data_samples_are_listed(tmp_path):
    from mmpretrain.structures import DataSample
    runner, hook = FakeRunner(tmp_path), SkippedStepHook()
    runner.optim_wrapper.skipped, runner.optim_wrapper.stepped = True, False
    sample = DataSample(metainfo=dict(img_path='labelled.jpg'))
    hook.after_train_iter(runner, 0, dict(inputs=[], data_samples=[sample]),
                          dict(loss=torch.tensor(math.nan)))
    assert (tmp_path / 'nonfinite' / 'rank0.txt').read_text() == (
        'iteration 1: loss nan\n  labelled.jpg\n')


def test_other_wrappers_are_left_alone(tmp_path):
    """They skip nothing."""
    runner, hook = FakeRunner(tmp_path), SkippedStepHook()
    parameter = torch.nn.Parameter(torch.zeros(1))
    runner.optim_wrapper = OptimWrapper(torch.optim.SGD([parameter], lr=0.1))
    hook.after_train_iter(runner, 0, {}, dict(loss=torch.tensor(math.nan)))
    assert not (tmp_path / 'nonfinite').exists()


def test_report_of_an_accumulated_step_holds_all_its_files(tmp_path):
    runner, hook = FakeRunner(tmp_path, accumulation=2), SkippedStepHook()
    for loss, name in ((1., 'a'), (1., 'b'), (2., 'c'), (math.nan, 'd')):
        runner.after(hook, loss, [name])
    assert (tmp_path / 'nonfinite' / 'rank0.txt').read_text() == (
        'iteration 3: loss 2\n  c\niteration 4: loss nan\n  d\n')


def test_bad_gradients_are_counted_at_the_interval_and_stop(tmp_path):
    runner, hook = FakeRunner(tmp_path), SkippedStepHook(3, interval=2)
    wrapper = runner.optim_wrapper
    for counts in ([1., 1.], [2., 2.], [2., 0.], [2., 0.], [3., 1.]):
        wrapper.bad_gradients = torch.tensor(counts)
        runner.after(hook, 1., ['a'])
    assert runner.message_hub.get_info('skipped_steps') == 2
    wrapper.bad_gradients = torch.tensor([5., 3.])
    with pytest.raises(TrainingHealthError):
        runner.after(hook, 1., ['a'])


def test_a_loss_scale_that_never_fits_stops(tmp_path):
    runner, hook = FakeRunner(tmp_path), SkippedStepHook()
    runner.optim_wrapper.backed_off = 49
    runner.after(hook, 1., ['a'])
    runner.optim_wrapper.backed_off = 50
    with pytest.raises(TrainingHealthError):
        runner.after(hook, 1., ['a'])


def test_a_short_run_without_a_step_ends_with_an_error(tmp_path):
    for losses, gradients, bad in (([math.nan] * 3, None, True),
                                   ([1.] * 3, [3., 3.], True),
                                   ([math.nan, 1.], None, False),
                                   ([1.] * 3, [2., 2.], False)):
        runner, hook = FakeRunner(tmp_path), SkippedStepHook()
        hook.before_train(runner)
        for loss in losses:
            runner.after(hook, loss, ['a'])
        if gradients:
            runner.optim_wrapper.bad_gradients = torch.tensor(gradients)
        if bad:
            with pytest.raises(TrainingHealthError):
                hook.after_train(runner)
        else:
            hook.after_train(runner)


def test_the_state_is_saved_once_for_a_work_dir(tmp_path):
    (tmp_path / 'nonfinite').mkdir()
    (tmp_path / 'nonfinite' / 'state.pth').touch()
    runner, hook = FakeRunner(tmp_path), SkippedStepHook()
    hook.before_train(runner)
    runner.after(hook, math.nan, ['a'])
    assert runner.saved == []


@pytest.mark.parametrize('settings', [dict(max_in_a_row=0), dict(interval=0)])
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        SkippedStepHook(**settings)
