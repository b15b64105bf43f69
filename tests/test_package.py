"""Installation: dependencies, paths, registries, what setup.py ships."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from mmengine.config import Config
from mmengine.registry import HOOKS, MODELS, DefaultScope

import ibot_mm
from ibot_mm import dependencies
from ibot_mm.dependencies import check_dependencies
from ibot_mm.model_hub import METAFILES

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize('found,old', [
    ('0.10.12', False),
    ('0.10.8', False),
    ('0.10.7', True),
    ('0.9.99', True),
    ('1.0.0rc1', False),
    ('0.10.12+cu130', False),
    ('0.10.8a0+32f93b1', False),
])
def test_versions_are_compared_as_numbers(monkeypatch, found, old):
    monkeypatch.setattr(dependencies, 'installed_version', lambda name: found)
    needed = dict(engine={'fork-engine': '0.10.8'})
    if old:
        with pytest.raises(ImportError, match='fork-engine'):
            check_dependencies(needed)
    else:
        check_dependencies(needed)


def test_either_distribution_will_do(monkeypatch):
    needed = dict(engine=dict(fork='2.0', original='1.0'))
    versions = {'original': '1.5'}
    monkeypatch.setattr(dependencies, 'installed_version', versions.get)
    check_dependencies(needed)
    versions['original'] = '0.5'
    with pytest.raises(ImportError, match='original.* 0.5'):
        check_dependencies(needed)


def test_missing_package_says_what_to_install(monkeypatch):
    monkeypatch.setattr(dependencies, 'installed_version', lambda name: None)
    with pytest.raises(ImportError, match='"torch".*requirements/'):
        check_dependencies()


def test_config_path_of_this_package_and_of_others():
    name = 'ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'
    path = ibot_mm.config_path(name)
    assert path == ibot_mm.config_path(f'ibot_mm::{name}')
    assert Path(path) == ROOT / 'configs' / name
    other = ibot_mm.config_path('mmpretrain::mae/mae_vit-base-p16_8xb512-'
                                'amp-coslr-300e_in1k.py')
    assert 'mae_vit-base-p16.py' in Path(other).read_text()
    with pytest.raises(FileNotFoundError, match='"a/b.py"'):
        ibot_mm.config_path('mmpretrain::a/b.py')
    with pytest.raises(ModuleNotFoundError, match='nopackage'):
        ibot_mm.config_path('nopackage::b.py')


@pytest.mark.cli
def test_nothing_is_printed_at_import():
    run = subprocess.run(
        [sys.executable, '-c', 'import ibot_mm.registry, mmpretrain.datasets'],
        check=True, capture_output=True, text=True)
    assert run.stdout == ''


@pytest.mark.parametrize('scope', ['mmengine', 'mmpretrain', 'mmdet', 'mmseg'])
def test_names_resolve_under_any_scope(scope):
    with DefaultScope.overwrite_default_scope(scope):
        assert MODELS.get('ibot_mm.IBOT').__name__ == 'IBOT'
        assert HOOKS.get('ibot_mm.TeacherEMAHook') is not None


def test_users_config_inherits_from_anywhere(tmp_path):
    path = tmp_path / 'mine.py'
    path.write_text(
        "_base_ = __import__('ibot_mm').config_path('ibot/ibot_vit-small-"
        "p16_16xb64-multicrop-800e_in1k.py')\n"
        'train_cfg = dict(max_epochs=3)\n')
    cfg = Config.fromfile(path)
    assert cfg.train_cfg.max_epochs == 3
    assert cfg.model.type == 'ibot_mm.IBOT'


@pytest.mark.cli
def test_wheel_ships_configs_and_tools(tmp_path):
    subprocess.run([
        sys.executable, '-m', 'pip', 'wheel', '--quiet', '--no-deps',
        '--no-build-isolation', '--wheel-dir', str(tmp_path), str(ROOT)
    ], check=True)
    wheel, = tmp_path.glob('*.whl')
    names = zipfile.ZipFile(wheel).namelist()
    config = 'configs/ibot/ibot_vit-small-p16_16xb64-multicrop-800e_in1k.py'
    assert f'ibot_mm/.mim/{config}' in names
    assert any(n.endswith(f'.dist-info/.mim/{config}') for n in names)
    assert 'ibot_mm/.mim/tools/train.py' in names
    for metafile in METAFILES:
        assert f'ibot_mm/.mim/configs/{metafile}' in names
    # mim rejects two files of one name in a folder of configs.
    configs = [n for n in names
               if n.startswith('ibot_mm/.mim/configs') and n.endswith('.py')]
    assert len({n.rsplit('/', 1)[1] for n in configs}) == len(configs)


def test_names_of_configs_are_importable_from_the_package():
    import ibot_mm
    from ibot_mm.datasets import MultiCrop
    from ibot_mm.models import IBOTViT
    assert ibot_mm.IBOTViT is IBOTViT and ibot_mm.MultiCrop is MultiCrop
    with pytest.raises(AttributeError, match='IBOTVit'):
        ibot_mm.IBOTVit
