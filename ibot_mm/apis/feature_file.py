"""Files of features with the names of their images."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np

FORMATS = ('.parquet', '.npz', '.npy')


def write_features(path: Path, names: list[str],
                   parts: Iterable[np.ndarray]) -> None:
    """Write features; ``.npy`` and ``.parquet`` part by part.

    - ``.parquet``: columns ``name`` and ``features``, a list of fixed length
      per image; ``shape`` in the metadata of the schema is its shape.
    - ``.npz``: arrays ``names`` (N,) and ``features`` (N, ...).
    - ``.npy``: the features; the names are in ``<path>.names.txt``, one a
      line.

    Args:
        path: File to write; its extension is the format.
        names: Of the N images.
        parts: Arrays (n, ...), float32, with N rows in all, in the order of
            the names.
    """
    temporary = path.with_name(f'.{path.name}.tmp')
    if path.suffix == '.npz':
        with temporary.open('wb') as file:
            np.savez(file, names=np.array(names),
                     features=np.concatenate(list(parts)))
    elif path.suffix == '.npy':
        array, start = None, 0
        for part in parts:
            if array is None:
                array = np.lib.format.open_memmap(
                    temporary, 'w+', part.dtype, (len(names), *part.shape[1:]))
            array[start:start + len(part)] = part
            start += len(part)
        array.flush()
        Path(f'{path}.names.txt').write_text(
            ''.join(f'{name}\n' for name in names), encoding='utf-8',
            errors='surrogateescape')
    else:
        _write_parquet(temporary, names, parts)
    temporary.replace(path)


def _write_parquet(path: Path, names: list[str],
                   parts: Iterable[np.ndarray]) -> None:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter
    writer, start = None, 0
    for part in parts:
        flat = part.reshape(len(part), -1)
        if writer is None:
            schema = pa.schema(
                [('name', pa.string()),
                 ('features', pa.list_(pa.float32(), flat.shape[1]))],
                metadata=dict(shape=str(list(part.shape[1:]))))
            writer = ParquetWriter(path, schema)
        writer.write_table(pa.table([
            # Names of other encodings are no text in Parquet.
            [name.encode(errors='surrogateescape').decode(errors='replace')
             for name in names[start:start + len(part)]],
            pa.FixedSizeListArray.from_arrays(flat.ravel(), flat.shape[1])
        ], schema=schema))
        start += len(part)
    writer.close()


def read_features(path: str | Path) -> tuple[list[str], np.ndarray]:
    """Names and features (N, ...) of a file that :func:`write_features` wrote.

    Args:
        path: The file.
    """
    path = Path(path)
    if path.suffix == '.npz':
        with np.load(path) as content:
            return content['names'].tolist(), content['features']
    if path.suffix == '.npy':
        names = Path(f'{path}.names.txt').read_text(
            encoding='utf-8', errors='surrogateescape')
        # Not splitlines, for which other characters end a line, too.
        return names.split('\n')[:-1], np.load(path)
    import json

    from pyarrow.parquet import read_table
    table = read_table(path)
    shape = json.loads(table.schema.metadata[b'shape'])
    values = table['features'].combine_chunks().flatten().to_numpy()
    return table['name'].to_pylist(), values.reshape(-1, *shape)
