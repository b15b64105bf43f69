"""Rank correlations of logs made by hand."""

import json
import sys

import cv2
import pytest

from tests.helpers.in_process import run_tool

TOOL = 'visualization/plot_quality.py'


def write_log(work_dir, entries):
    folder = work_dir / '20200101_000000' / 'vis_data'
    folder.mkdir(parents=True)
    (folder / 'scalars.json').write_text('\n'.join(
        json.dumps(dict(entry, step=step))
        for step, entry in enumerate(entries, 1)) + '\n')
    return work_dir


def validation(knn, rank, uniformity):
    return {'knn/top1': knn, 'quality/rankme': rank,
            'quality/uniformity': uniformity,
            'quality/part_match_chance': 2.}


def test_correlations_by_hand(tmp_path):
    """Of n ranks with differences d: 1 - 6 sum d^2 / (n (n^2 - 1))."""
    a = write_log(tmp_path / 'a', [
        dict(loss=1.), validation(10, 1, -1), validation(20, 3, -2),
        validation(30, 2, -3)])
    # In all 6 k-NN ranks 1 2 3 | 4 5 6, RankMe 1 3 2 | 4 5 6, uniformity as
    # k-NN but the last two.
    b = write_log(tmp_path / 'b', [
        validation(40, 4, -4), validation(50, 5, -6), validation(60, 6, -5)])
    out = run_tool(TOOL, a, b, '--out', tmp_path / 'quality.png').out
    head, rankme, uniformity, _ = out.splitlines()
    assert head.split() == [str(a), str(b), 'all', 'last', 'of', 'each']
    assert rankme.split() == [
        'quality/rankme', '0.50', '1.00', f'{1 - 12 / 210:.2f}', '-']
    assert uniformity.split() == [
        'quality/uniformity', '1.00', '0.50', f'{1 - 12 / 210:.2f}', '-']
    assert cv2.imread(str(tmp_path / 'quality.png')).shape[1] == round(
        80 * 3.4 * 2)


def test_runs_without_evaluators_are_named(tmp_path):
    run = write_log(tmp_path / 'run', [{'knn/top1': 10.}])
    with pytest.raises(ValueError, match='run.*val_evaluator'):
        run_tool(TOOL, run)


def test_runs_of_one_name_and_another_metric(tmp_path):
    """Uniformity and RankMe have the opposite order in one run only."""
    rising, falling = (
        write_log(tmp_path / str(i) / 'run', [
            validation(10, rank, uniformity)
            for rank, uniformity in enumerate(values)])
        for i, values in enumerate(((-3, -2, -1), (-1, -2, -3))))
    head, *lines = run_tool(TOOL, rising, falling, '--metric',
                            'quality/uniformity').out.splitlines()
    assert head.split()[:2] == [str(rising), str(falling)]
    assert [line.split()[:3] for line in lines] == [
        ['quality/rankme', '-1.00', '1.00']]
    with pytest.raises(ValueError, match='quality/rankme'):
        run_tool(TOOL, write_log(tmp_path / 'one', [{'quality/rankme': 1.}]),
                 '--metric', 'quality/rankme')


def test_without_scipy(tmp_path, monkeypatch):
    run = write_log(tmp_path / 'run', [validation(1, 2, 3)] * 3)
    monkeypatch.setitem(sys.modules, 'scipy.stats', None)
    with pytest.raises(ImportError, match='scipy.*requirements/optional.txt'):
        run_tool(TOOL, run)
