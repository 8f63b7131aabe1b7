"""What a node keeps of training for itself: one file for a fit and a round, and never sent.

A round is computed from what was kept after the round that the request names, which is the last
one of this site that the sum holds; so a lost answer, a crash or a resumed run change nothing.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from fedpet.errors import StoreError, UpdateError
from fedpet.federation.messages import Request
from fedpet.parameters import Array, Parameters, from_bytes, to_bytes

FOLDER = "kept"
KEEP = "keep."


class Kept:
    """A node's own part of the fits that it takes part in.

    Args:
        folder: The node's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def with_kept(self, request: Request, *, spare: int = 0) -> Parameters:
        """Return a request's arrays, and with them what was kept of the round that it names.

        What is older by more than `spare` rounds is deleted: the sum has moved on.

        Raises:
            UpdateError: If there is nothing of that round, or the request brings what a node keeps.
        """
        if any(name.startswith(KEEP) for name in request.arrays):
            raise UpdateError("What a hospital keeps is its own; no request may bring it.")
        number = request.body.get("kept")
        if number is None:
            return request.arrays
        try:
            path = self._file(request, number)
            data = path.read_bytes()
        except (OSError, ValueError) as error:
            raise UpdateError(
                "This hospital has kept nothing of the round that it should go on from.",
                do="It can take part in a new run.",
            ) from error
        for older in path.parent.glob("*.safetensors"):
            if int(older.stem) < number - spare:
                older.unlink(missing_ok=True)
        return {**request.arrays, **from_bytes(data)}

    def taken(self, request: Request, arrays: Parameters) -> Mapping[str, Array]:
        """Put away what is to be kept of an answer, and return the rest of it.

        Raises:
            UpdateError: If the request names no fit or round that it could be kept under.
            StoreError: If the disk fails.
        """
        own = {name: array for name, array in arrays.items() if name.startswith(KEEP)}
        if not own:
            return arrays
        path = self._file(request, request.body.get("round"))
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            part = path.with_suffix(f".{os.getpid()}.part")
            with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
                f.write(to_bytes(own))
                f.flush()
                os.fsync(f.fileno())
            part.replace(path)
        except OSError as error:
            raise StoreError("What this hospital keeps of training cannot be written.") from error
        return {name: array for name, array in arrays.items() if not name.startswith(KEEP)}

    def _file(self, request: Request, number: object) -> Path:
        fit = request.body.get("fit")
        if not isinstance(fit, str) or type(number) is not int or number < 1:
            raise UpdateError("A request that goes on from something kept names a fit and a round.")
        name = hashlib.sha256(f"{request.experiment}\n{request.plan}\n{fit}".encode()).hexdigest()
        return self._folder / name / f"{number:06d}.safetensors"
