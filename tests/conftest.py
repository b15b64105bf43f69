"""Shared settings of the tests."""

import logging

import pytest
import torch


@pytest.fixture(autouse=True, scope='session')
def quiet():
    """MMEngine logs every parameter it initialises; keep failures readable."""
    logging.getLogger('mmengine').setLevel(logging.WARNING)


@pytest.fixture(autouse=True)
def seeded():
    """Every test draws the same numbers alone and in company."""
    torch.manual_seed(0)
