"""The config in a checkpoint: read, never executed."""

from mmengine.config import Config

from ibot_mm import config_path
from ibot_mm.checkpoints.stored_config import stored_config


def test_a_recipe_is_read_as_mmengine_stores_it():
    cfg = Config.fromfile(config_path(
        'examples/ibot_vit-micro-p8_1xb64-20e_shapes.py'))
    checkpoint = dict(meta=dict(cfg=cfg.pretty_text))
    assert stored_config(checkpoint) == cfg.to_dict()


def test_code_in_a_config_is_not_run(tmp_path):
    mark = tmp_path / 'mark'
    text = (f"a = open({str(mark)!r}, 'w')\n"
            f"b = dict(c=open({str(mark)!r}, 'w'))\nimport os\nd = dict(e=1)")
    assert stored_config(dict(meta=dict(cfg=text))) == dict(d=dict(e=1))
    assert not mark.exists()


def test_checkpoints_without_a_config():
    assert stored_config(dict(state_dict={})) == {}
    assert stored_config(dict(meta=None)) == {}
