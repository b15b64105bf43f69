"""Shared settings of the tests."""

import logging
import os
from pathlib import Path

# Adam amplifies rounding: the comparisons with reference values hold for one
# order of summation, so every machine uses the same kernels.
os.environ.setdefault('ATEN_CPU_CAPABILITY', 'avx2')
os.environ.setdefault('MKL_CBWR', 'AVX2')

import cv2
import pytest
import torch
from mmengine.registry import DefaultScope

from tests.helpers.shapes import write_shapes

# Folders of tests that run commands or processes.
CLI = ('test_tools', 'test_distributed')


@pytest.hookimpl(tryfirst=True)  # before -m selects
def pytest_collection_modifyitems(items):
    """Mark what has no marker of a tier as ``cli`` or ``unit``."""
    for item in items:
        if not any(map(item.get_closest_marker, ('cli', 'slow', 'cuda'))):
            folder = Path(item.path).parent.name
            item.add_marker('cli' if folder in CLI else 'unit')


@pytest.fixture(autouse=True, scope='session')
def quiet():
    """Silence MMEngine, which logs every parameter that it initializes."""
    logging.getLogger('mmengine').setLevel(logging.WARNING)


@pytest.fixture(autouse=True, scope='session')
def single_threaded_opencv():
    """Disable OpenCV's thread pool, which does not survive a fork."""
    cv2.setNumThreads(0)


@pytest.fixture(autouse=True)
def seeded():
    """Make random numbers independent of the other tests."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope='module')
def default_scope():
    """Leave no scope of a Runner, in which other files find no classes."""
    yield
    DefaultScope._instance_dict.clear()


@pytest.fixture(scope='session')
def shapes(tmp_path_factory):
    """48 images for training and 24 for validation, in class folders."""
    return write_shapes(
        tmp_path_factory.mktemp('shapes'), 48, 24) / 'imagenet'
