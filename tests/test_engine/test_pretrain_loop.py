"""The loop of pre-training."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import OptimWrapper
from torch.utils.data import DataLoader

from ibot_mm.engine import PretrainLoop, WarmupCosineLR


@pytest.mark.parametrize('batch_size,epochs,words', [
    (8, 3, '5 images .*train_dataloader.batch_size'),
    (2, 0, 'train_cfg.max_epochs'),
])
def test_nothing_to_train(batch_size, epochs, words):
    loader = DataLoader(range(5), batch_size=batch_size, drop_last=True)
    with pytest.raises(ValueError, match=words):
        PretrainLoop(SimpleNamespace(), loader, epochs)


def schedule(iterations):
    wrapper = OptimWrapper(torch.optim.SGD(
        [torch.nn.Parameter(torch.zeros(1))], lr=1.))
    return wrapper, WarmupCosineLR(
        wrapper, end=iterations, warmup=2, by_epoch=False)


@pytest.mark.parametrize('last_epoch', [1, 2])
def test_another_batch_keeps_the_place_in_the_schedules(last_epoch):
    """After 2 of 3 epochs of 6 iterations, a run of 4 per epoch goes on."""
    wrapper, old = schedule(18)
    for _ in range(12):
        wrapper.optimizer.step()
        old.step()
    _, new = schedule(12)
    new.load_state_dict(old.state_dict())
    # The entry is that of the last epoch, or of one that had just begun.
    begin = [last_epoch, 6 * last_epoch, 6]
    loop = PretrainLoop(
        SimpleNamespace(
            message_hub=SimpleNamespace(get_info=lambda *args: begin),
            param_schedulers=[new]),
        DataLoader(range(8), batch_size=2), 3)
    loop._epoch, loop._iter = 2, 12
    assert loop._iterations_done() == 0
    assert loop.iter == 8
    wrapper, expected = schedule(12)
    for _ in range(8):
        wrapper.optimizer.step()
        expected.step()
    assert new.optimizer.param_groups[0]['lr'] == pytest.approx(
        wrapper.param_groups[0]['lr'])
