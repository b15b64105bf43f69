"""A checkpoint that is configured but was not read is reported, once."""

import logging
import pickle
from copy import deepcopy

import pytest
import torch
from mmengine.logging import MMLogger
from mmengine.runner.checkpoint import load_checkpoint, load_state_dict
from torch import nn

from ibot_mm.checkpoints.pretrained import load_pretrained
from ibot_mm.models import IBOT, IBOTSwin, IBOTViT, ProjectionNeck
from tests.helpers.builders import ARCH, batch, build_model, model_config

IMAGES = torch.zeros(1, 3, 32, 32)


@pytest.fixture
def reported(request):
    """Warnings in the current log."""
    logger = MMLogger.get_instance(f'unread {request.node.name}')
    messages = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: messages.append(record.getMessage())
    logger.addHandler(handler)
    yield messages
    MMLogger._instance_dict.pop(logger.instance_name)


@pytest.fixture(scope='module')
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp('pretrained') / 'epoch_20.pth'
    torch.save(dict(state_dict=build_model().state_dict()), path)
    return str(path)


def pretrained(path):
    return dict(type='Pretrained', checkpoint=path)


def vit(init_cfg):
    return IBOTViT(ARCH, img_size=32, patch_size=8, init_cfg=init_cfg)


@pytest.mark.parametrize('use', [
    lambda vit: vit(IMAGES),
    lambda vit: vit.extract_cls(IMAGES),
    lambda vit: vit.extract_tokens(IMAGES),
    lambda vit: vit.extract_last_blocks(IMAGES, 1),
    lambda vit: nn.Sequential(vit)(IMAGES),
])
def test_every_use_reports_it_once(reported, path, use):
    model = vit(pretrained(path))
    use(model)
    use(model)
    message, = reported
    assert 'IBOTViT' in message and path in message
    assert 'init_weights()' in message


def test_other_modules(reported):
    swin = IBOTSwin(dict(embed_dims=8, depths=[1, 1], num_heads=[2, 4]),
                    img_size=32, out_indices=(1, ),
                    init_cfg=pretrained('swin.pth'))
    swin.extract_cls(IMAGES)
    neck = ProjectionNeck(4, 8, init_cfg=pretrained('neck.pth'))
    neck((torch.zeros(1, 4), ))
    of_swin, of_neck = reported
    assert 'IBOTSwin' in of_swin and '"swin.pth"' in of_swin
    assert 'ProjectionNeck' in of_neck and '"neck.pth"' in of_neck


def save(state, folder):
    torch.save(dict(state_dict=state), folder / 'x.pth')
    return str(folder / 'x.pth')


@pytest.mark.parametrize('load', [
    lambda model, state, folder: model.init_weights(),
    lambda model, state, folder: model.load_state_dict(state),
    lambda model, state, folder: model.load_state_dict(state, assign=True),
    lambda model, state, folder: nn.Sequential(model).load_state_dict(
        {f'0.{k}': v for k, v in state.items()}),
    lambda model, state, folder: load_state_dict(model, state),
    lambda model, state, folder: load_checkpoint(model, save(state, folder)),
    lambda model, state, folder: load_pretrained(model, save(state, folder)),
])
def test_no_report_after_weights_came_from_anywhere(reported, path, tmp_path,
                                                    load):
    model = vit(pretrained(path))
    load(model, vit(None).state_dict(), tmp_path)
    model(IMAGES)
    assert not reported


@pytest.mark.parametrize('init_cfg', [
    None, dict(type='TruncNormal', layer='Linear', std=.02)])
def test_no_report_without_a_checkpoint(reported, init_cfg):
    vit(init_cfg)(IMAGES)
    assert not reported


@pytest.mark.parametrize('copied', [
    deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies_are_watched_for_themselves(reported, path, copied):
    model = vit(pretrained(path))
    copy = copied(model)
    copy.init_weights()
    copy(IMAGES)
    assert not reported
    copied(copy)(IMAGES)
    assert not reported
    copied(model)(IMAGES)
    assert len(reported) == 1
    model(IMAGES)
    assert len(reported) == 2


def test_a_pre_training_that_starts_from_weights(reported, path):
    """The teacher has no ``init_cfg``: it is a copy of the student."""
    cfg = model_config(backbone=dict(init_cfg=pretrained(path)))
    cfg.pop('type')
    model = IBOT(**cfg)
    crops = model.data_preprocessor(batch(2))['inputs']
    model.init_weights()
    model.loss(crops)
    assert not reported
    IBOT(**cfg).loss(crops)
    assert len(reported) == 1


def test_compiled_networks_have_one_graph(path):
    """With ``fullgraph`` PyTorch raises at a break of the graph."""
    model = vit(pretrained(path))
    model.init_weights()
    with torch.no_grad():
        compiled = torch.compile(model, backend='eager', fullgraph=True)
        torch.testing.assert_close(compiled(IMAGES), model(IMAGES))


def test_a_list_of_initializations_reads_the_checkpoint(path):
    """What MMEngine reads first is not drawn anew."""
    model = vit([dict(type='TruncNormal', layer='Linear', std=.02),
                 pretrained(path)])
    model.init_weights()
    state = torch.load(path)['state_dict']
    for name, value in model.state_dict().items():
        assert torch.equal(value, state[f'teacher.backbone.{name}']), name
