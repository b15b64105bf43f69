"""Install ibot_mm together with its configs and tools."""

import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

try:
    from setuptools.command.bdist_wheel import bdist_wheel
except ImportError:  # setuptools below 70.1
    from wheel.bdist_wheel import bdist_wheel

ROOT = Path(__file__).parent
# Read by tools/environment.sh too.
PYTHONS = ('3.11', '3.12', '3.13')
SHIPPED = ('configs', 'tools', 'model-index.yml')


def requirements(name: str) -> list:
    """Requirements of ``requirements/<name>.txt``."""
    lines = (ROOT / 'requirements' / f'{name}.txt').read_text().splitlines()
    return [
        line.split('#')[0].strip() for line in lines
        if line.strip() and not line.startswith(('#', '-'))
    ]


def version() -> str:
    """Version without importing the package."""
    scope: dict = {}
    exec((ROOT / 'ibot_mm' / 'version.py').read_text(), scope)
    return scope['__version__']


def ship(folder: Path) -> None:
    """Copy configs and tools to ``folder/.mim``, where mim finds them."""
    target = folder / '.mim'
    shutil.rmtree(target, ignore_errors=True)
    for name in SHIPPED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(
                source,
                target / name,
                ignore=shutil.ignore_patterns('__pycache__'))
        elif source.is_file():
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target / name)


class BuildPy(build_py):
    """Add ``.mim`` to the package; an editable install has the sources."""

    def run(self) -> None:
        """Build the package, then add ``.mim``."""
        super().run()
        if not getattr(self, 'editable_mode', False):  # setuptools 64 and up
            ship(Path(self.build_lib) / 'ibot_mm')


class BdistWheel(bdist_wheel):
    """Also add ``.mim`` next to the metadata, where mim looks first."""

    def write_wheelfile(self, wheelfile_base, **kwargs) -> None:
        """Write the WHEEL file, then add ``.mim``."""
        super().write_wheelfile(wheelfile_base, **kwargs)
        # setuptools sets `editable_mode` only after this call.
        if 'editable_wheel' not in self.distribution.commands:
            ship(Path(wheelfile_base))


EXTRAS = dict(
    mim=requirements('mminstall'),
    det=['onedl-mmdetection>=3.5.1'],
    seg=['onedl-mmsegmentation>=1.4.2', 'ftfy', 'regex'],
    tests=requirements('tests'),
    plots=requirements('plots'),
    optional=requirements('optional'),
    export=requirements('export'))
EXTRAS['all'] = sorted({r for group in EXTRAS.values() for r in group})
# Not in "all": Gradio replaces Pillow by an older version.
EXTRAS['explorer'] = ['gradio>=6']

setup(
    name='ibot_mm',
    version=version(),
    description='iBOT pre-training of vision transformers for MMPretrain',
    long_description=(ROOT / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    python_requires=f'>={PYTHONS[0]}',
    packages=find_packages(include=['ibot_mm', 'ibot_mm.*']),
    install_requires=requirements('runtime'),
    extras_require=EXTRAS,
    cmdclass=dict(build_py=BuildPy, bdist_wheel=BdistWheel),
    classifiers=[
        *(f'Programming Language :: Python :: {p}' for p in PYTHONS),
        'Topic :: Scientific/Engineering :: Artificial Intelligence',
    ])
