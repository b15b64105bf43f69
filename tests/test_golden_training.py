"""Replay three training steps of the official code through the Runner.

Model, optimizer wrapper, hooks and schedulers are those of a real run; losses,
gradients, parameters, momentum and centers are compared with the values of the
official code.
"""

import numpy as np
import pytest
import torch

from ibot_mm.engine import PretrainOptimWrapper
from ibot_mm.registry import MODELS
from tests.helpers import golden
from tests.helpers.golden_run import (
    CASES,
    STEPS,
    Recorder,
    build_runner,
    compare_parameters,
    config,
    load_start,
    start_weights,
)


@pytest.fixture(scope='module', params=list(CASES))
def run(request, tmp_path_factory):
    """(case, recorder, gradients of step 0) of a replayed run."""
    case = request.param
    cfg = config(case, tmp_path_factory.mktemp(case))
    runner = build_runner(case, cfg, 'golden')
    model = runner.model
    load_start(case, model)
    recorder = Recorder()
    runner.register_hook(recorder)

    gradients = {}
    clip = PretrainOptimWrapper._clip_grad

    def spy(wrapper):
        for name, parameter in model.named_parameters():
            if parameter.grad is not None:
                gradients.setdefault(name, parameter.grad.clone())
        clip(wrapper)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PretrainOptimWrapper, '_clip_grad', spy)
        with pytest.raises(KeyboardInterrupt):
            runner.train()
    return case, recorder, gradients


def test_teacher_starts_as_the_official_one(run):
    case, _, _ = run
    model = MODELS.build(config(case, '.').model)
    missing, unexpected = model.load_state_dict(
        start_weights(case), strict=False)
    assert not unexpected
    assert all(name.startswith(('teacher.', 'head.')) for name in missing)
    model.reset_teacher()
    expected = golden.model_weights(f'train_{case}_init', 'teacher0/')
    actual = model.teacher.state_dict()
    assert {k for k in expected if 'last_layer2' not in k} == set(actual)
    for name, value in actual.items():
        assert torch.equal(value, expected[name]), name


def test_losses(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    expected = np.stack(
        [final[k] for k in ('loss', 'cls_loss', 'patch_loss')], axis=1)
    np.testing.assert_allclose(recorder.losses, expected, atol=1e-5, rtol=0)


def test_gradients_of_the_first_step(run):
    case, _, gradients = run
    expected = golden.model_weights(f'train_{case}_init', 'grad0/')
    assert set(gradients) == set(expected)
    for name, value in expected.items():
        torch.testing.assert_close(
            gradients[name], value, atol=1e-6, rtol=1e-5, msg=name)


def test_schedules_of_the_run(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    for index in range(STEPS):
        np.testing.assert_allclose(
            recorder.rates[index], final['lr'][index], rtol=1e-9)
        np.testing.assert_allclose(
            recorder.decays[index], [final['wd'][index], 0.], rtol=1e-9)


def test_centers(run):
    case, recorder, _ = run
    final = golden.load(f'train_{case}_final')
    for ours, official in ((recorder.centers, 'center_after'),
                           (recorder.patch_centers, 'center2_after')):
        np.testing.assert_allclose(
            torch.stack(ours).numpy(),
            final[official].reshape(STEPS, -1),
            atol=2e-5,
            rtol=0)


@pytest.mark.parametrize('side', ['student', 'teacher'])
def test_parameters_after_three_steps(run, side):
    case, recorder, _ = run
    compare_parameters(case, recorder.state, side)


def test_frozen_last_layer_counts_no_steps(run):
    case, recorder, _ = run
    settings = golden.meta(f'train_{case}_final')
    counts = settings['adam_step_counter_after_3_steps']
    head = {
        k.replace('head.', 'neck.'): v
        for k, v in counts.items() if 'head.' in k
    }
    for name, count in head.items():
        assert recorder.adam_steps[name] == count, name
    assert sorted(recorder.adam_steps.values()) == sorted(counts.values())
