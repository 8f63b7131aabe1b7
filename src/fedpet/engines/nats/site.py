"""A site's own files for the network, in `HOSPITAL/node`: what it decides, and what it pinned.

```
node.toml         what the hospital decides: the way out
federation.toml   what it pinned when it joined: address, authority, the coordinator's key
identity.pem      its key (0600)          broker.nk    its key for the broker (0600)
roster.told.json  the members that the coordinator named last
roster.json       the members that it pinned
```
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le, Len

from fedpet.engines.nats import keys
from fedpet.engines.nats.connection import Door
from fedpet.engines.nats.invitation import InvitationFile
from fedpet.engines.nats.link import Post
from fedpet.engines.nats.relay import Proxy
from fedpet.errors import DataError, NotFoundError, RefusalError
from fedpet.privacy.identity import Identity, PublicIdentity, Roster
from fedpet.tomldoor import Door as TomlDoor

NODE = TomlDoor(
    error=DataError, code="FP-3054", do="Correct node.toml; its comments explain each key."
)
FEDERATION = TomlDoor(
    error=DataError, code="FP-3055", do="Join anew: fedpet node join INVITATION FOLDER"
)
# Strict at the door: no unknown key, no silent conversion.
DOOR = {"extra": "forbid", "strict": True, "allow_inf_nan": False}
ROSTER_DIGITS = 16  # of a digest, at least, to name a roster
TEMPLATE = """\
# What this hospital decides about its way out. Restart the node after a change.

# authority_file = "hospital-ca.pem"   # a further authority, where the hospital inspects TLS

# [proxy]                              # where the way out leads through an HTTP proxy
# host = "proxy.hospital.example"
# port = 3128
# user = "fedpet"                      # where it wants a login
# password_file = "proxy.password"     # beside this file, readable by its owner only
"""
Text = Annotated[str, Len(1, 300)]
Port = Annotated[int, Ge(1), Le(65535)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxySettings:
    """The section [proxy]."""

    __pydantic_config__ = DOOR

    host: Text
    port: Port
    user: Annotated[str, Len(0, 300)] = ""
    password_file: Annotated[str, Len(0, 300)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """What stands in node.toml."""

    __pydantic_config__ = DOOR

    proxy: ProxySettings | None = None
    authority_file: Annotated[str, Len(0, 300)] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pinned:
    """What stands in federation.toml."""

    __pydantic_config__ = DOOR

    site: Text
    federation: Text
    host: Text
    port: Port
    coordinator: Annotated[str, Len(64, 64)]
    authority: Annotated[str, Len(1, 10_000)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteFiles:
    """A site's files.

    Args:
        folder: `HOSPITAL/node`.
    """

    folder: Path

    def make(self) -> Identity:
        """Make keys and settings where there are none yet; return the identity."""
        self.folder.mkdir(parents=True, exist_ok=True)
        identity = Identity.load_or_create(self.folder / "identity.pem")
        keys.load_or_create(self.folder / "broker.nk")
        settings = self.folder / "node.toml"
        if not settings.exists():
            settings.write_text(TEMPLATE, encoding="utf-8")
        return identity

    def require(self) -> Identity:
        """Return the identity of a node that was made.

        Raises:
            NotFoundError: If it was not.
        """
        if not (self.folder / "identity.pem").exists():
            raise NotFoundError(
                "This hospital has no node yet.",
                do="Make its keys: fedpet node init HOSPITAL",
                code="FP-6114",
            )
        return Identity.load(self.folder / "identity.pem")

    def seed(self) -> str:
        """Return the NKey seed."""
        return keys.load_or_create(self.folder / "broker.nk")

    @contextmanager
    def keys(self, *, new: bool) -> Iterator[tuple[Identity, str]]:
        """Lend the keys, or new ones; these replace the old ones if the block ends well."""
        if not new:
            yield self.require(), self.seed()
            return
        coming = SiteFiles(folder=self.folder / "new-keys")
        yield coming.make(), coming.seed()
        for name in ("identity.pem", "broker.nk"):
            (coming.folder / name).replace(self.folder / name)
        for path in coming.folder.iterdir():
            path.unlink()
        coming.folder.rmdir()

    def settings(self) -> NodeSettings:
        """Read node.toml.

        Raises:
            DataError: Listing every mistake in it.
        """
        path = self.folder / "node.toml"
        if not path.exists():
            return NodeSettings()
        absent = NotFoundError("There is no node.toml.")
        return NODE.values(NODE.text_of(path, absent=absent), NodeSettings, name="node.toml")

    def proxy(self) -> Proxy | None:
        """Return the proxy of node.toml, or None.

        Raises:
            DataError: If its password cannot be read.
        """
        told = self.settings().proxy
        if told is None:
            return None
        password = ""
        if told.password_file:
            password = self._text(told.password_file).strip()
        return Proxy(host=told.host, port=told.port, user=told.user, password=password)

    def pin(self, invitation: InvitationFile) -> None:
        """Write down what an invitation said, after the coordinator proved to be the one in it."""
        import tomlkit

        document = tomlkit.document()
        document.add(tomlkit.comment("Pinned when this site joined; written by fedpet."))
        for name in Pinned.__slots__:
            value = getattr(invitation, name)
            lines = "\n" in str(value)
            document.add(name, tomlkit.string(value, multiline=True) if lines else value)
        part = self.folder / "federation.toml.part"
        part.write_text(tomlkit.dumps(document), encoding="utf-8")
        part.replace(self.folder / "federation.toml")

    def pinned(self) -> Pinned:
        """Read federation.toml.

        Raises:
            NotFoundError: If the site did not join yet.
            DataError: If the file is damaged.
        """
        absent = NotFoundError(
            "This hospital has not joined a federation yet.",
            do="Ask the coordinator for an invitation, then: fedpet node join FILE HOSPITAL",
            code="FP-6115",
        )
        text = FEDERATION.text_of(self.folder / "federation.toml", absent=absent)
        return FEDERATION.values(text, Pinned, name="federation.toml")

    def door(self, pinned: Pinned | InvitationFile) -> Door:
        """Return where the broker is, with the hospital's own authority if it has one."""
        told = self.settings().authority_file
        return Door(
            host=pinned.host,
            port=pinned.port,
            name=pinned.host,
            authority=pinned.authority,
            also_trusted=self._text(told) if told else "",
        )

    def post(self, door: Door) -> Post:
        """Return the site's place in its federation, reached by a door."""
        pinned = self.pinned()
        return Post(
            site=pinned.site,
            federation=pinned.federation,
            door=door,
            seed=self.seed(),
            identity=self.require(),
            coordinator=PublicIdentity(bytes.fromhex(pinned.coordinator)),
            folder=self.folder,
        )

    def hear_roster(self, data: bytes, *, believe: bool) -> bool:
        """Keep the roster that the coordinator signed, for a person to compare.

        Args:
            data: The roster.
            believe: Pin it at once. Whoever does believes the coordinator, who could name keys of
                its own.

        Returns:
            Whether it is the pinned one now.

        Raises:
            RefusalError: If it names this site with another key, or an epoch that was used before.
            StoreError: If it is no roster.
        """
        told, known = Roster.from_bytes(data), self.roster()
        if told.of(self.pinned().site) != self.require().public:
            raise RefusalError("The roster names this site with a key that is not its own.")
        if known is not None and known.digest == told.digest:
            return True
        if known is not None and told.epoch <= known.epoch:
            raise RefusalError("The roster is older than the one that is pinned here.")
        self._write("roster.told.json", data)
        if believe:
            self.pin_roster(told.digest)
        return believe

    def roster(self, *, told: bool = False) -> Roster | None:
        """Return the pinned roster, or the newest one that the coordinator told; None before.

        Raises:
            StoreError: If the file is no roster.
        """
        path = self.folder / ("roster.told.json" if told else "roster.json")
        return Roster.from_bytes(path.read_bytes()) if path.exists() else None

    def pin_roster(self, digest: str) -> Roster:
        """Pin the roster that was told; from now on the secure sum is for its members.

        Args:
            digest: Its digest or the first 16 digits of it, as people compared it.

        Raises:
            RefusalError: If another roster was told, or none.
        """
        told = self.roster(told=True)
        if told is None or len(digest) < ROSTER_DIGITS or not told.digest.startswith(digest):
            raise RefusalError(
                "The coordinator has told no such list of members.",
                do="Read the list that it told: fedpet node members HOSPITAL",
            )
        self._write("roster.json", told.to_bytes())
        return told

    def _write(self, name: str, data: bytes) -> None:
        part = self.folder / f"{name}.{os.getpid()}.part"
        part.write_bytes(data)
        part.replace(self.folder / name)

    def _text(self, name: str) -> str:
        try:
            return (self.folder / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(
                f"node.toml names '{name}', which cannot be read.",
                do="It is looked for beside node.toml.",
                code="FP-3054",
            ) from error
