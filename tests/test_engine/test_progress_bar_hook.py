"""The live line of a training."""

import io
import logging
import sys
from types import SimpleNamespace

import pytest

from ibot_mm.engine import ProgressBarHook


class Terminal(io.StringIO):
    """Text that says whether it is a terminal."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal


@pytest.mark.parametrize('terminal, enabled', [
    (True, True), (False, True), (True, False)])
def test_images_and_log_lines(monkeypatch, terminal, enabled):
    """6 of 12 iterations of 8 images are behind a resumed run."""
    screen = Terminal(terminal)
    monkeypatch.setattr(sys, 'stderr', screen)
    logger = logging.Logger('run')
    handler = logging.StreamHandler(screen)
    logger.addHandler(handler)
    runner = SimpleNamespace(
        train_dataloader=SimpleNamespace(batch_size=8), max_iters=12, iter=6,
        epoch=1, max_epochs=2, logger=logger)
    hook = ProgressBarHook(enabled)
    hook.before_train(runner)
    hook.before_train_epoch(runner)
    hook.after_train_iter(runner, 0)
    if hook._bar is not None:
        hook._bar.refresh()
    logger.warning('a line of the log')
    hook.after_train(runner)
    text = screen.getvalue()
    assert 'a line of the log\n' in text
    assert ('56.0/96.0' in text and 'epoch 2/2' in text) == (
        terminal and enabled)
    assert logger.handlers == [handler]
