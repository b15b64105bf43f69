"""Download checkpoints once, and verify their hashes."""

import hashlib
import os
import re
from pathlib import Path
from urllib.parse import urlsplit

import torch
from filelock import FileLock


def local_copy(path: str) -> str:
    """Path of a checkpoint on this machine.

    Files of http(s) addresses are kept in ``checkpoints/`` of
    ``torch.hub.get_dir()``, in a folder per address, and not downloaded
    again. A file that PyTorch or MMEngine keeps there is used if its name ends
    in the beginning of its hash. An address may end in ``#sha256=`` and 64
    hexadecimal digits, which every use verifies.

    Args:
        path: Address, or a path, which is returned.

    Raises:
        OSError: The file cannot be downloaded.
        ValueError: It has another hash, or none can be read after the "#".
    """
    if not path.startswith(('http://', 'https://')):
        return os.path.expanduser(path)
    address, separator, fragment = path.partition('#')
    wanted = re.fullmatch(r'sha256=([0-9a-fA-F]{64})', fragment)
    if separator and wanted is None:
        raise ValueError(f'"#{fragment}" is not "#sha256=" and 64 digits')
    name = Path(urlsplit(address).path).name or 'checkpoint'
    cache = Path(torch.hub.get_dir(), 'checkpoints')
    target = cache / name
    if not (re.search(r'-[0-9a-f]{8,}\.', name) and target.is_file()):
        folder = hashlib.sha256(address.encode()).hexdigest()[:8]
        target = cache / folder / name
    if not target.is_file():
        target.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f'{target}.lock'):  # the other processes wait
            if not target.is_file():
                torch.hub.download_url_to_file(address, str(target))
    if wanted:
        with target.open('rb') as file:
            found = hashlib.file_digest(file, 'sha256').hexdigest()
        if found != wanted[1].lower():
            raise ValueError(f'the SHA-256 of "{target}" is {found}; remove '
                             'it to download it again')
    return str(target)
