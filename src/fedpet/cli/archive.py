"""A coordinator's folder in one file, and back."""

from __future__ import annotations

import os
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from fedpet.errors import NotFoundError, StoreError

LEFT_OUT = ("broker", "log", "lock", "status.json")
KEPT_IN_RUNS = ("plan.toml", "run.json", "journal.db", "results.json")
SIZE_LIMIT_BYTES = 64 << 30


def save(folder: Path, file: Path) -> list[str]:
    """Write a folder's files into an archive; databases as they are at one moment.

    Raises:
        StoreError: If the file is there already.
    """
    if file.exists():
        raise StoreError(f"'{file.name}' is there already.", do="Choose another name.")
    part = file.with_name(f".{file.name}.part")
    names = []
    with tempfile.TemporaryDirectory(dir=file.resolve().parent) as aside:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as raw, tarfile.open(fileobj=raw, mode="w:gz") as archive:
            for path in _wanted(folder):
                name = path.relative_to(folder).as_posix()
                names.append(name)
                if path.suffix == ".db":
                    copy = Path(aside) / "copy.db"
                    copy.unlink(missing_ok=True)
                    with sqlite3.connect(path) as source, sqlite3.connect(copy) as target:
                        source.backup(target)
                    source.close()
                    target.close()
                    archive.add(copy, arcname=name)
                else:
                    archive.add(path, arcname=name)
    part.replace(file)
    return names


def bring_back(file: Path, folder: Path) -> int:
    """Unpack what `save` wrote; return how many files.

    Raises:
        NotFoundError: If there is no such file.
        StoreError: If the folder is not empty, or the file is no such archive.
    """
    if not file.exists():
        raise NotFoundError(f"There is no file '{file.name}'.")
    if folder.exists() and any(folder.iterdir()):
        raise StoreError("The folder is not empty.", do="Give a new one.")
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o700)
    try:
        with tarfile.open(file, mode="r:gz") as archive:
            members = archive.getmembers()
            if not all(_harmless(member) for member in members):
                raise StoreError("The archive holds something else than files of a coordinator.")
            archive.extractall(folder, members=members, filter="data")
    except (tarfile.TarError, EOFError, OSError) as error:
        raise StoreError(
            f"'{file.name}' is damaged, or no backup of a coordinator.",
            do="Take another backup, and a new folder.",
            code="FP-3057",
        ) from error
    for path in folder.rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)
    return len(members)


def _wanted(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).parts
        if not path.is_file() or place[0] in LEFT_OUT or path.suffix in (".part", ".log"):
            continue
        if path.name.endswith(("-wal", "-shm")):
            continue
        if place[0] == "runs" and path.name not in KEPT_IN_RUNS:
            continue
        yield path


def _harmless(member: tarfile.TarInfo) -> bool:
    place = PurePosixPath(member.name)
    inside = not place.is_absolute() and ".." not in place.parts
    return member.isfile() and inside and member.size < SIZE_LIMIT_BYTES
