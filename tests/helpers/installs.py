"""Installations of this package, each in a separate virtual environment.

All other packages (torch, MMPretrain, mim) come from the environment that runs
the tests: its folder follows the new one on ``sys.path``.
"""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from tests.helpers.launched import ROOT, environment

# pip install -e . | pip install . | a wheel built from the sdist
KINDS = ('editable', 'regular', 'wheel')
SOURCES = ('ibot_mm', 'configs', 'tools', 'requirements', 'setup.py',
           'pyproject.toml', 'MANIFEST.in', 'README.md', 'LICENSE',
           'model-index.yml')
PIP_OPTIONS = ('--quiet', '--disable-pip-version-check', '--no-deps',
             '--no-build-isolation')
WHERE = '''
import importlib.metadata, json, ibot_mm
from mim.utils import get_installed_path
found = importlib.metadata.distribution('ibot_mm')
print(json.dumps(dict(
    imported=ibot_mm.__file__, described=str(found.locate_file('.')),
    used_by_mim=get_installed_path('ibot_mm'),
    config=ibot_mm.config_path('examples/ibot_vit-micro-p8_1xb64-20e_shapes.py'))))
'''


def copy_sources(target: Path) -> Path:
    """Copy the sources, so that nothing is built in the repository."""
    target.mkdir()
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(
                ROOT / name, target / name,
                ignore=shutil.ignore_patterns('__pycache__', '.mim'))
        else:
            shutil.copy(ROOT / name, target)
    return target


class Installation:
    """An installation of one of ``KINDS`` with an empty working folder."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.sources = folder / 'sources'
        self.folder = folder / 'work'
        self.folder.mkdir()
        subprocess.run([sys.executable, '-m', 'venv', folder / 'env'],
                       check=True)
        self.python = folder / 'env' / 'bin' / 'python'
        self.site = Path(self.run(
            self.python, '-c', 'import sysconfig as s; '
            'print(s.get_paths()["purelib"])').strip())
        (self.site / 'outer.pth').write_text(
            sysconfig.get_paths()['purelib'] + '\n')
        copy_sources(self.sources)
        if kind == 'editable':
            self._install('--editable', self.sources)
        elif kind == 'regular':
            self._install(self.sources)
        else:
            self._install(self._wheel(folder / 'dist'))
        if kind == 'regular':
            shutil.rmtree(self.sources)

    def _wheel(self, dist: Path) -> Path:
        subprocess.run(
            [self.python, '-c', 'from setuptools import build_meta as b; '
             f'b.build_sdist({str(dist)!r})'], cwd=self.sources,
            env=self.environment(), capture_output=True, check=True)
        shutil.rmtree(self.sources)
        sdist, = dist.glob('*.tar.gz')
        self.run(self.python, '-m', 'pip', 'wheel', *PIP_OPTIONS,
                 '--wheel-dir', dist, sdist)
        wheel, = dist.glob('*.whl')
        return wheel

    def _install(self, *what) -> None:
        # pip also sees the ibot_mm of the outer environment.
        self.run(self.python, '-m', 'pip', 'install', *PIP_OPTIONS,
                 '--ignore-installed', *what)

    @property
    def root(self) -> Path:
        """The folder from which all of ibot_mm must be used."""
        return self.sources if self.kind == 'editable' else self.site

    def environment(self) -> dict[str, str]:
        """Environment variables without the paths to the repository."""
        found = environment(PYTHON=str(self.python), NO_PROXY='127.0.0.1')
        found.pop('PYTHONPATH', None)
        return found

    def run(self, *command, code: int = 0) -> str:
        """Run a command in the folder and return its output."""
        result = subprocess.run(
            list(map(str, command)), cwd=self.folder, env=self.environment(),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            timeout=600)
        assert result.returncode == code, result.stdout
        return result.stdout

    def mim(self, *args, code: int = 0) -> str:
        """Run ``mim`` of this environment."""
        return self.run(self.python, '-m', 'mim', *args, code=code)

    def where(self) -> dict[str, Path]:
        """Package locations according to Python, pip's metadata and mim."""
        found = json.loads(self.run(self.python, '-c', WHERE))
        return {name: Path(path) for name, path in found.items()}
