"""How two sites come to share a secret that the coordinator, who relays all, cannot know or forge.

Each site makes a KEM key for the experiment and signs it with its identity. Each seals a
contribution for each other site, and signs that. The root secret of a pair comes from both
contributions, so that neither site, nor whoever breaks one of them, chooses it alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256

from fedpet.errors import RefusalError
from fedpet.privacy.identity import Identity, Roster
from fedpet.privacy.secure_sum import keys
from fedpet.privacy.secure_sum.shamir import Random
from fedpet.privacy.secure_sum.statements import ADVERTISE, AGREE, key_statement, pair_context
from fedpet.privacy.secure_sum.terms import Scope, pack, unpack, unpack_by_site


class Pairing:
    """One site's root secrets with every other site of an experiment.

    Args:
        site: This site's name.
        identity: Its signing key.
        roster: The roster that it pinned.
        scope: The experiment.
        random: Source of that many secret random bytes.

    Raises:
        RefusalError: If the experiment's roster is not the pinned one, or names this site with
            another key.
    """

    def __init__(
        self, *, site: str, identity: Identity, roster: Roster, scope: Scope, random: Random
    ) -> None:
        if scope.roster != roster.digest or roster.of(site) != identity.public:
            raise RefusalError("The federation's roster is not the one that this hospital pinned.")
        self.site, self.scope = site, scope
        self._identity, self._roster, self._random = identity, roster, random
        self._kem = keys.KemKey(random(96))
        self._peers: dict[str, bytes] = {}  # KEM keys that were accepted, by site
        self._offers: dict[bytes, tuple[bytes, bytes]] = {}  # by KEM key: contribution, answer
        self._roots: dict[str, bytes] = {}
        self._known: dict[str, bytes] = {}  # which offer each root came from

    def advertise(self) -> bytes:
        """Return this site's KEM key for the experiment, signed."""
        signature = self._identity.sign(
            ADVERTISE, key_statement(self.scope, self.site, self._kem.public)
        )
        return pack(self._kem.public, signature)

    def agree(self, advertised: bytes) -> bytes:
        """Return a sealed contribution for every other site.

        Args:
            advertised: Name, KEM key and signature of each site, packed.

        Raises:
            RefusalError: If a key was not signed by the pinned identity of its site.
        """
        answers = []
        for name, (public, signature) in unpack_by_site(advertised, 2).items():
            if name == self.site:
                continue
            self._roster.of(name).verify(
                signature, context=ADVERTISE, message=key_statement(self.scope, name, public)
            )
            self._peers[name] = public
            if public not in self._offers:
                self._offers[public] = self._offer(name, public)
            answers += [name.encode(), self._offers[public][1]]
        return pack(*answers)

    def take(self, agreed: Mapping[str, list[bytes]]) -> None:
        """Open what other sites sealed for this one.

        Raises:
            RefusalError: If an offer was not signed by its site, or does not open.
        """
        for j, (offer,) in agreed.items():
            if self._known.get(j) == offer or j not in self._peers:
                continue
            box, signature = unpack(offer, 2)
            public = self._peers[j]
            here, there = (self.site, self._kem.public), (j, public)
            context = pair_context(self.scope, there, here)
            self._roster.of(j).verify(
                signature, context=AGREE, message=context + sha256(box).digest()
            )
            theirs, ours = self._kem.open(box, context), self._offers[public][0]
            first, second = (ours, theirs) if self.site < j else (theirs, ours)
            ordered = pair_context(self.scope, *sorted((here, there)))
            self._roots[j] = keys.pair_root(first, second, ordered)
            self._known[j] = offer

    def root(self, name: str) -> bytes:
        """Return the secret that only this site and another one know.

        Raises:
            RefusalError: If there is none.
        """
        found = self._roots.get(name)
        if found is None:
            raise RefusalError(f"There is no agreed key with '{name}'.")
        return found

    def _offer(self, name: str, public: bytes) -> tuple[bytes, bytes]:
        contribution = self._random(32)
        context = pair_context(self.scope, (self.site, self._kem.public), (name, public))
        box = keys.seal_for(public, contribution, context)
        signature = self._identity.sign(AGREE, context + sha256(box).digest())
        return contribution, pack(box, signature)
