"""The group for exchanges between CPUs, with and without gloo.

Two processes of which one cannot connect: ``test_interruption_hook.py``.
"""

import logging

import pytest
import torch.distributed as dist

from ibot_mm.distributed import cpu_group


@pytest.fixture
def main_group(tmp_path):
    dist.init_process_group(
        'gloo', f'file://{tmp_path}/meet', rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def test_it_is_a_group_of_its_own(main_group):
    group = cpu_group.cpu_group()
    assert group not in (None, dist.group.WORLD)
    assert dist.get_backend(group) == 'gloo'


def test_without_gloo_the_main_group_does(main_group, monkeypatch):
    def new_group(backend, timeout):
        raise RuntimeError('Connect timeout [127.0.1.1]:31415')

    logged = []
    monkeypatch.setattr(dist, 'new_group', new_group)
    monkeypatch.setattr(cpu_group, 'print_log',
                        lambda text, level, **kwargs: logged.append(
                            (text, level)))
    assert cpu_group.cpu_group() is None
    [(text, level)] = logged
    assert '127.0.1.1' in text and 'GLOO_SOCKET_IFNAME' in text
    assert level == logging.WARNING
