"""Settings with which there is nothing to train."""

from types import SimpleNamespace

import pytest
from torch.utils.data import DataLoader

from ibot_mm.engine.loops import PretrainLoop


@pytest.mark.parametrize('batch_size,epochs,words', [
    (8, 3, '5 images .*train_dataloader.batch_size'),
    (2, 0, 'train_cfg.max_epochs'),
])
def test_nothing_to_train(batch_size, epochs, words):
    loader = DataLoader(range(5), batch_size=batch_size, drop_last=True)
    with pytest.raises(ValueError, match=words):
        PretrainLoop(SimpleNamespace(), loader, epochs)
