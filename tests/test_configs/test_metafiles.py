"""What mim and the READMEs say about the configs."""

import importlib.util
from functools import cache
from pathlib import Path

import pytest
import yaml
from mmengine.config import Config

ROOT = Path(__file__).parents[2]
INDEX = yaml.safe_load((ROOT / 'model-index.yml').read_text())['Import']


@cache
def entries(metafile):
    return yaml.safe_load((ROOT / metafile).read_text())['Models']


@pytest.fixture(scope='module')
def write_results():
    spec = importlib.util.spec_from_file_location(
        'write_results', ROOT / 'tools/misc/write_results.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize('metafile', INDEX)
def test_tables_of_the_readmes_are_those_of_the_metafiles(metafile,
                                                          write_results):
    """Otherwise run tools/misc/write_results.py."""
    readme, text = write_results.render(ROOT / metafile)
    assert readme.read_text() == text
    for entry in entries(metafile):
        assert f'| [{entry["Name"]}](' in text


def test_a_table_by_hand(write_results):
    def model(name, published, **metadata):
        return dict(
            Name=name, Config=f'configs/ibot/{name}.py', Results=published and
            [dict(Metrics=published)], Metadata=dict(FLOPs=1, **metadata))

    models = [model('a', {'x (paper)': 84.0}, Epochs=3),
              model('b', None, Epochs=4),
              model('c', {'y (paper)': 1.5}, Masks='block')]
    assert write_results.table(models, ROOT / 'configs') == (
        '| Config | Epochs | Masks | x (paper) | y (paper) |\n'
        '| --- | --- | --- | --- | --- |\n'
        '| [a](ibot/a.py) | 3 | - | 84.0 | - |\n'
        '| [b](ibot/b.py) | 4 | - | - | - |\n'
        '| [c](ibot/c.py) | - | block | - | 1.5 |\n')


def test_every_recipe_has_an_entry():
    files = {str(path.relative_to(ROOT)) for folder in ('ibot', 'benchmarks')
             for path in (ROOT / 'configs' / folder).rglob('*.py')}
    found = [entry for metafile in INDEX for entry in entries(metafile)]
    assert sorted(entry['Config'] for entry in found) == sorted(files)
    for entry in found:
        assert Path(entry['Config']).stem == entry['Name']


@pytest.mark.parametrize('metafile', INDEX)
def test_metadata_are_those_of_the_configs(metafile):
    for entry in entries(metafile):
        metadata = entry['Metadata']
        if 'Batch Size' not in metadata:  # nothing is trained
            continue
        cfg = Config.fromfile(ROOT / entry['Config'])
        assert metadata['Batch Size'] == cfg.auto_scale_lr.base_batch_size
        if 'Iterations' in metadata:
            assert metadata['Iterations'] == cfg.train_cfg.max_iters
        else:
            assert metadata['Epochs'] == cfg.train_cfg.max_epochs
