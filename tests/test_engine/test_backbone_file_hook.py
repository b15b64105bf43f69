"""The teacher's backbone beside the last and the best checkpoints."""

import hashlib

import pytest
import torch
from mmengine.hooks import Hook
from torch import nn

from ibot_mm.checkpoints.resume import latest_checkpoint
from tests.helpers.tiny_run import (
    EPOCH,
    At,
    TinyModel,
    build_runner,
    checkpoints,
    log_of,
)

SCORES = [dict(acc=s, loss=s) for s in (1., 3., 2., 4.)]


@pytest.fixture(autouse=True)
def with_teacher(monkeypatch):
    """Give the tiny model the parts whose names the hook looks for."""
    construct = TinyModel.__init__

    def init(self):
        construct(self)
        self.backbone = nn.Linear(1, 1)
        self.teacher = nn.ModuleDict(dict(backbone=nn.Linear(1, 1)))
        self.requires_grad_(False)
        self.layer.requires_grad_(True)

    monkeypatch.setattr(TinyModel, '__init__', init)


class Count(Hook):
    """Sets the teacher's weight to the number of finished epochs."""

    priority = 'HIGH'

    def after_train_epoch(self, runner) -> None:
        runner.model.teacher['backbone'].weight.data.fill_(runner.epoch + 1)
        runner.model.backbone.weight.data.fill_(-1)


def files(work_dir):
    """Epochs of the teachers in the files, by name without hash."""
    found = {}
    for path in work_dir.glob('*_backbone-*.pth'):
        name, digest = path.stem.rsplit('-', 1)
        assert hashlib.sha256(path.read_bytes()).hexdigest()[:8] == digest
        content = torch.load(path)
        # The config tells what weights do not, such as numbers of heads.
        assert list(content['meta']) == ['cfg']
        assert sorted(content['state_dict']) == ['backbone.bias',
                                                 'backbone.weight']
        assert name not in found
        found[name] = content['state_dict']['backbone.weight'].item()
    return found


def run(work_dir, *hooks, **settings):
    hook = dict(type='ibot_mm.BackboneFileHook')
    runner = build_runner(work_dir, Count(), hook, *hooks, **settings)
    runner.train()
    return runner


def test_at_the_end_of_the_run(tmp_path):
    run(tmp_path, epochs=3)
    assert files(tmp_path) == dict(epoch_3_backbone=3)
    assert checkpoints(tmp_path)[-1].startswith('epoch_3_backbone-')
    assert log_of(tmp_path).count('epoch_3_backbone-') == 1


def test_the_name_is_that_of_the_checkpoint_with_these_weights(tmp_path):
    run(tmp_path, epochs=3, checkpoint=dict(interval=2, save_last=False))
    assert files(tmp_path) == dict(epoch_2_backbone=2)


def test_the_best_and_the_last(tmp_path):
    run(tmp_path, epochs=4, scores=SCORES[:3] + [dict(acc=0., loss=0.)],
        checkpoint=dict(save_best=['acc', 'loss'],
                        rule=['greater', 'less']))
    assert files(tmp_path) == dict(
        best_acc_epoch_2_backbone=2, best_loss_epoch_4_backbone=4,
        epoch_4_backbone=4)


def test_a_resumed_run_replaces_the_last(tmp_path):
    run(tmp_path, epochs=2, scores=SCORES, checkpoint=dict(save_best='acc'))
    assert files(tmp_path) == dict(best_acc_epoch_2_backbone=2,
                                   epoch_2_backbone=2)
    run(tmp_path, epochs=4, scores=[SCORES[2], SCORES[3]], resume=True,
        checkpoint=dict(save_best='acc'))
    assert files(tmp_path) == dict(best_acc_epoch_4_backbone=4,
                                   epoch_4_backbone=4)


def test_resuming_is_exact_with_the_files_there(tmp_path):

    class Stopped(Exception):
        pass

    def stop(runner):
        raise Stopped

    whole, parts = tmp_path / 'whole', tmp_path / 'parts'
    settings = dict(checkpoint=dict(save_best='acc'))
    run(whole, epochs=4, scores=SCORES, **settings)
    with pytest.raises(Stopped):
        run(parts, At('before_train_iter', 2 * EPOCH, stop), epochs=4,
            scores=SCORES, **settings)
    assert files(parts) == dict(best_acc_epoch_2_backbone=2)
    run(parts, epochs=4, scores=SCORES[2:], resume=True, **settings)
    assert files(parts) == files(whole)
    one, two = (torch.load(folder / 'epoch_4.pth', weights_only=False)
                for folder in (whole, parts))
    for name, value in one['state_dict'].items():
        assert torch.equal(two['state_dict'][name], value)


def test_they_are_no_checkpoints_to_resume(tmp_path):
    run(tmp_path, epochs=2, scores=SCORES, checkpoint=dict(save_best='acc'))
    (tmp_path / 'last_checkpoint').unlink()
    assert latest_checkpoint(str(tmp_path)) == (
        str(tmp_path / 'epoch_2.pth'), {})


def test_a_failure_does_not_stop_the_run(tmp_path):

    def spoil(runner):
        (tmp_path / 'epoch_2.pth').write_bytes(b'')

    run(tmp_path, At('after_train_epoch', 2, spoil, 'LOWEST'), epochs=3,
        checkpoint=dict(interval=2, save_last=False))
    assert not files(tmp_path)
    assert 'epoch_2.pth" could not be written' in log_of(tmp_path)


def test_it_can_be_switched_off(tmp_path):
    hook = dict(type='ibot_mm.BackboneFileHook', enabled=False)
    build_runner(tmp_path, hook, epochs=1).train()
    assert not files(tmp_path) and (tmp_path / 'epoch_1.pth').is_file()


def test_a_model_without_teacher_is_named(tmp_path, monkeypatch):
    monkeypatch.undo()
    hook = dict(type='ibot_mm.BackboneFileHook')
    build_runner(tmp_path, hook, epochs=1).train()
    assert 'epoch_1.pth" could not be written' in log_of(tmp_path)
