"""A page about runs."""

import base64
import json
import re

import pytest

from tests.helpers.health import log_line, write_log
from tests.helpers.in_process import run_tool

pytest.importorskip('matplotlib')
TOOL = 'visualization/report.py'


def cells(page):
    """Rows of all tables, as text."""
    return [re.findall('<t[dh]>(.*?)</t[dh]>', row)
            for row in re.findall('<tr>(.*?)</tr>', page)]


def test_two_runs(tmp_path):
    """Numbers, pictures and tables are those of the folders."""
    lines = [log_line(i, epoch=i / 100, images_per_second=speed,
                      data_wait=0.25)
             for i, speed in ((50, 10.), (100, 30.), (150, 20.))]
    first = write_log(tmp_path / 'first', lines)
    scores = [{'step': 5, 'knn/top1': 40.}, {'step': 10, 'knn/top1': 35.25}]
    log = first / '20250101_000000' / 'vis_data' / 'scalars.json'
    log.write_text('\n'.join(map(json.dumps, [*lines, *scores])))
    (first / 'bad_files.txt').write_text('a.jpg\tis empty\n')
    (first / 'pictures').mkdir()
    (first / 'pictures' / 'strip.png').write_bytes(b'a picture')
    (first / 'results.md').write_text('| k-NN | <b>40.0</b> |')
    second = write_log(tmp_path / 'second', lines, num_prototypes=512,
                       max_epochs=100)
    out = tmp_path / 'page.html'
    run_tool(TOOL, first, second, '--labels', 'one', 'two & more', '--out',
             out)
    page = out.read_text()
    rows = cells(page)
    assert ['', 'one', 'two &amp; more'] in rows
    assert ['knn/top1', '35.2 at the end, best 40.0 in epoch 5', '-'] in rows
    assert ['images per second', '20.0 (median)', '20.0 (median)'] in rows
    assert ['waiting for data', '25.0% (median)', '25.0% (median)'] in rows
    assert ['bad files', '1 lines in bad_files.txt', '0'] in rows
    assert ['model.head.num_prototypes', '8192', '256'] in rows
    assert ['model.head.num_prototypes', '8192', '512'] in rows
    assert ['train_cfg.max_epochs', '800', '100'] in rows
    assert base64.b64encode(b'a picture').decode() in page
    assert '&lt;b&gt;40.0' in page
    # Nothing is read from elsewhere.
    assert not re.findall('(?:src|href)="(?!data:|#)', page)
    assert page.count('<svg') == 1


def test_a_recipe_and_a_folder_without_a_log(tmp_path):
    """A run does not differ from its own config."""
    run = write_log(tmp_path / 'run', [log_line(50), log_line(100)])
    config = run / '20250101_000000' / 'vis_data' / 'config.py'
    out = tmp_path / 'page.html'
    run_tool(TOOL, run, '--recipe', config, '--out', out)
    rows = cells(out.read_text())
    assert rows[-1] == ['key', 'recipe', 'run']
    with pytest.raises(FileNotFoundError, match='nothing'):
        run_tool(TOOL, tmp_path / 'nothing', '--out', out)
