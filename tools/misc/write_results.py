"""Write the tables of published results into the READMEs of the configs.

    python tools/misc/write_results.py

The metafiles that ``model-index.yml`` imports are the only source. A table
stands between ``<!-- results: COLLECTION -->`` and ``<!-- end -->`` in the
README of the collection and has a row for each of its models: metadata, then
metrics. The name of a metric ends with its source in parentheses.
"""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TABLE = re.compile(r'(<!-- results: (.+?) -->\n).*?(<!-- end -->)', re.DOTALL)
# Metadata that has no column.
HIDDEN = {'FLOPs', 'Parameters', 'Training Data'}


def metrics(model: dict) -> dict[str, float | str]:
    """Metrics of all results of a model, by name and source."""
    return {name: value for result in model['Results'] or []
            for name, value in result['Metrics'].items()}


def columns(rows: list[dict]) -> list[str]:
    """Keys of all rows, in the order in which they first appear."""
    return list(dict.fromkeys(key for row in rows for key in row))


def table(models: list[dict], folder: Path) -> str:
    """Markdown table of some models.

    Args:
        models: Entries of a metafile.
        folder: Folder of the README, for links.
    """
    rows = []
    for model in models:
        shown = {key: value for key, value in model['Metadata'].items()
                 if key not in HIDDEN}
        path = (ROOT / model['Config']).relative_to(folder)
        rows.append({'Config': f'[{model["Name"]}]({path})', **shown})
    names = columns(rows) + columns([metrics(model) for model in models])
    lines = [names, ['---'] * len(names)]
    for row, model in zip(rows, models):
        row.update(metrics(model))
        lines.append([str(row.get(name, '-')) for name in names])
    return ''.join(f'| {" | ".join(line)} |\n' for line in lines)


def render(metafile: Path) -> tuple[Path, str]:
    """README of the collections of a metafile, with its tables.

    Returns:
        Its path and its text.
    """
    content = yaml.safe_load(metafile.read_text())
    readme = ROOT / content['Collections'][0]['README']
    collections: dict[str, list[dict]] = {}
    for model in content['Models']:
        collections.setdefault(model['In Collection'], []).append(model)
    text = TABLE.sub(
        lambda found: found[1] + table(collections[found[2]], readme.parent)
        + found[3], readme.read_text())
    return readme, text


def metafiles() -> list[Path]:
    """Metafiles that ``model-index.yml`` imports."""
    index = yaml.safe_load((ROOT / 'model-index.yml').read_text())
    return [ROOT / path for path in index['Import']]


def main() -> None:
    """Write all READMEs."""
    for metafile in metafiles():
        readme, text = render(metafile)
        readme.write_text(text)
        print(f'wrote {readme.relative_to(ROOT)}')


if __name__ == '__main__':
    main()
