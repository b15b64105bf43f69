"""Configs from checkpoints are data."""

import pytest
from mmengine.config import Config

import ibot_mm
from ibot_mm.checkpoints.literal_config import literal_config
from ibot_mm.checkpoints.load import CheckpointError


@pytest.mark.parametrize('name', [
    'ibot/ibot_vit-quickstart_1xb64_shapes.py',
    'ibot/ibot_swin-tiny-w14_40xb26-multicrop-300e_in1k.py'])
def test_equals_what_mmengine_would_execute(name):
    cfg = Config.fromfile(ibot_mm.config_path(name))
    cfg.extra = {'a b': [1, -2.5, None, True, (3, 'x')], 'class': {}}
    assert literal_config(cfg.pretty_text).to_dict() == (
        Config.fromstring(cfg.pretty_text, '.py').to_dict())


@pytest.mark.parametrize('text', [
    'import os', "a = __import__('os').getcwd()", "a = open('x', 'w')",
    'a = [x for x in (1, 2)]', 'a, b = 1, 2', 'a = dict(b=os)', 'a = ('])
def test_anything_else_is_refused(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match='give --config'):
        literal_config(text)
    assert not list(tmp_path.iterdir())
