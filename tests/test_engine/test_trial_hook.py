"""A training that ends after a few iterations."""

import pytest
from torch.utils.data import DataLoader

from ibot_mm.engine.hooks.trial_hook import FirstBatches, TrialHook
from tests.helpers.tiny_run import Scores, build_runner, checkpoints


@pytest.mark.parametrize('count, batches', [(2, [[0, 1], [2, 3]]),
                                            (9, [[0, 1], [2, 3], [4]])])
def test_the_first_batches(count, batches):
    loader = FirstBatches(DataLoader(range(5), batch_size=2), count)
    assert [batch.tolist() for batch in loader] == batches
    assert len(loader) == len(batches)
    assert loader.batch_size == 2 and len(loader.dataset) == 5


@pytest.mark.parametrize('by_epoch', [True, False])
@pytest.mark.parametrize('iterations, val_batches, validated', [
    (2, 3, [3]),
    # After the epoch of 6 iterations, and at the end.
    (8, 9, [6, 6]),
])
def test_it_ends_with_a_short_validation(tmp_path, monkeypatch, by_epoch,
                                         iterations, val_batches, validated):
    seen = []
    monkeypatch.setattr(Scores, 'compute_metrics',
                        lambda self, results: seen.append(len(results)) or {})
    runner = build_runner(tmp_path, TrialHook(iterations, val_batches),
                          by_epoch=by_epoch, scores=[],
                          checkpoint=dict(interval=-1))
    with pytest.raises(SystemExit) as stop:
        runner.train()
    assert stop.value.code == 0
    assert runner.iter + 1 == iterations
    assert seen == validated
    assert not checkpoints(tmp_path)
