"""Download checkpoints once, and verify their hashes."""

import hashlib
import os
from pathlib import Path
from urllib.parse import urlsplit

import torch
from filelock import FileLock


def local_copy(path: str) -> str:
    """Path of a checkpoint on this machine.

    Files of http(s) addresses are kept in ``checkpoints/`` of
    ``torch.hub.get_dir()`` and not asked for again. An address may end in
    ``#sha256=`` and 64 hexadecimal digits, which every use verifies.

    Args:
        path: Address, or a path, which is given back.

    Raises:
        OSError: The file cannot be downloaded.
        ValueError: It has another hash; it is removed.
    """
    if not path.startswith(('http://', 'https://')):
        return os.path.expanduser(path)
    address, _, wanted = path.partition('#sha256=')
    folder = hashlib.sha256(address.encode()).hexdigest()[:8]
    target = Path(torch.hub.get_dir(), 'checkpoints', folder,
                  Path(urlsplit(address).path).name or 'checkpoint')
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f'{target}.lock'):  # the other processes wait
        if not target.is_file():
            torch.hub.download_url_to_file(address, str(target))
        if wanted:
            with target.open('rb') as file:
                found = hashlib.file_digest(file, 'sha256').hexdigest()
            if found != wanted.lower():
                target.unlink()
                raise ValueError(f'its SHA-256 is {found}')
    return str(target)
