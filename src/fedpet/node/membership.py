"""Who this hospital is in the federation, and whom it knows there."""

from __future__ import annotations

import os
from pathlib import Path

from fedpet.errors import RefusalError, StoreError
from fedpet.privacy.identity import Identity, Roster


class Membership:
    """The site's identity and the roster that it pinned, in `<folder>/roster.json`.

    Args:
        folder: The node's folder.
        site: The site's name.
        identity: What signs for it.
    """

    def __init__(self, folder: Path, *, site: str, identity: Identity) -> None:
        self._folder, self._site, self.identity = folder, site, identity
        self._trusted: Roster | None = None

    @property
    def roster(self) -> Roster | None:
        """The roster that is trusted for now, or was pinned, or None.

        Raises:
            StoreError: If the file is no roster.
        """
        if self._trusted is not None:
            return self._trusted
        path = self._folder / "roster.json"
        return Roster.from_bytes(path.read_bytes()) if path.exists() else None

    def trust(self, roster: Roster) -> None:
        """Trust a roster as long as this node runs, where all hospitals are on one machine."""
        self._trusted = roster

    def pin(self, roster: Roster) -> None:
        """Trust a roster from now on; what a person does after comparing its digest.

        Raises:
            RefusalError: If it names this site with another key, or is older than the pinned one.
            StoreError: If it cannot be written.
        """
        if roster.of(self._site) != self.identity.public:
            raise RefusalError(f"The roster names '{self._site}' with a key that is not its own.")
        pinned = self.roster
        if pinned is not None and pinned.digest != roster.digest and roster.epoch <= pinned.epoch:
            raise RefusalError(
                f"The roster has epoch {roster.epoch}; another of epoch {pinned.epoch} is pinned.",
                do="Ask for the newest roster.",
            )
        path = self._folder / "roster.json"
        partial = path.with_name(f"{path.name}.{os.getpid()}.part")
        try:
            partial.write_bytes(roster.to_bytes())
            partial.replace(path)
        except OSError as error:
            raise StoreError(
                "The roster cannot be written.", do="Look for a full or read-only disk."
            ) from error
