"""Documents: no dead links and no names of files that do not exist."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md',
         *sorted((ROOT / 'docs').rglob('*.md')),
         *sorted((ROOT / 'configs').rglob('*.md'))]


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.stem)
def test_links_lead_somewhere(page):
    text = page.read_text()
    assert '@@' not in text and 'TODO' not in text
    for target in re.findall(r'\]\(([^)#\s]+)\)', text):
        if not target.startswith('http'):
            assert (page.parent / target).exists(), target


@pytest.mark.parametrize('page', PAGES, ids=lambda p: p.stem)
def test_files_and_tools_that_are_named_exist(page):
    named = re.findall(r'\b((?:tools|tests|requirements|configs|ibot_mm|docs)/'
                       r'[\w./-]+\.(?:py|sh|txt|md|yml))', page.read_text())
    for path in named:
        assert (ROOT / path).exists(), path


def test_the_readme_leads_to_every_page():
    seen, waiting = set(), [ROOT / 'README.md']
    while waiting:
        page = waiting.pop()
        seen.add(page)
        for target in re.findall(r'\]\(([^)#\s]+\.md)', page.read_text()):
            linked = (page.parent / target).resolve()
            if not target.startswith('http') and linked not in seen:
                waiting.append(linked)
    assert seen >= set(PAGES)
