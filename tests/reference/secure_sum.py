"""Write test vectors of the secure sum `fedpet-sa/1`: `python tests/reference/secure_sum.py`.

Random bytes follow from seeds (SHA-256 of `<seed>/<counter>`), but for the encapsulation inside
HPKE, whose randomness no library takes as an argument; that box is recorded with the key that
opens it.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from fedpet.privacy.secure_sum import keys, shamir
from fedpet.privacy.secure_sum.lanes import encode
from fedpet.privacy.secure_sum.statements import pair_context
from fedpet.privacy.secure_sum.terms import Batch, Scope, Terms
from masked import SeededRandom, Sites, names_of

PATH = Path(__file__).with_suffix(".json")
NAMES = names_of(3)
SCOPE = Scope(plan="p" * 64, experiment="e", roster="r" * 64)
BATCH = Batch(cohort=tuple(NAMES), name="ab" * 16, slots=1)
TERMS = Terms(
    step="fold-0/network/round-001",
    attempt=0,
    purpose="train",
    asked="q" * 64,
    included=tuple(NAMES),
    slot=0,
    total=100.0,
)


def summands() -> dict[str, dict[str, np.ndarray]]:
    """Return three small summands."""
    return {
        name: {
            "change": np.array([0.5, -1.25, 3.0]) * (number + 1),
            "count": np.array([7.0, 0.0]) + number,
            "statistic": np.array([[1e-12, 1234567.875], [-0.1, 2.0**40]]) * (number + 1),
        }
        for number, name in enumerate(NAMES)
    }


def vectors(recorded: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return every vector; `recorded` brings the one box that cannot be made again."""
    random = SeededRandom("vectors")
    secret, root = random(32), random(32)
    kem = keys.KemKey(SeededRandom("kem")(96))
    context = pair_context(SCOPE, (NAMES[0], kem.public), (NAMES[1], kem.public))
    box = keys.seal_for(kem.public, b"c" * 32, context).hex()
    if recorded is not None:
        box = recorded["hpke"]["box"]
    sites = Sites(3, slots=1, seed="vectors")
    given = summands()
    layout = sites.layout(given[NAMES[0]])
    tag = TERMS.tag(sites.scope, sites.shared.batch, layout.to_bytes())
    narrow, wide = encode(given[NAMES[0]], layout, share=1.0, canary=tag)
    masked = {name: sites.masked(name, TERMS, given[name]) for name in NAMES}
    opened, _ = Sites(3, slots=1, seed="vectors").run(given, TERMS)
    return {
        "protocol": keys.PROTOCOL,
        "shamir": {
            "prime": str(shamir.PRIME),
            "secret": secret.hex(),
            "seed": "shares",
            "shares": [
                share.hex()
                for share in shamir.split(
                    secret, threshold=3, shares=4, random=SeededRandom("shares")
                )
            ],
        },
        "derive": {
            "key": root.hex(),
            "purpose": "mask",
            "context": tag.hex(),
            "derived": keys.derive(root, "mask", tag).hex(),
        },
        "pair_root": keys.pair_root(b"a" * 32, b"b" * 32, context).hex(),
        "scope": SCOPE.context.hex(),
        "batch": BATCH.context(SCOPE).hex(),
        "pair_context": context.hex(),
        "hpke": {
            "seed": SeededRandom("kem")(96).hex(),
            "public": kem.public.hex(),
            "box": box,
            "opened": kem.open(bytes.fromhex(box), context).hex(),
        },
        "layout": layout.to_bytes().decode(),
        "tag": tag.hex(),
        "encoded": {"narrow": narrow.tolist(), "wide": wide.tolist()},
        "masked": {
            name: {"narrow": one.narrow.tolist(), "wide": one.wide.tolist()}
            for name, one in masked.items()
        },
        "sum": {name: array.tolist() for name, array in sorted(opened.items())},
    }


if __name__ == "__main__":
    PATH.write_text(json.dumps(vectors(), indent=1) + "\n", encoding="utf-8")
