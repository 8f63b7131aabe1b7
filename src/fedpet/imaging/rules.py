"""What a hospital says about the choice of its scans, beside the rules that hold everywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from fedpet.imaging import tags
from fedpet.imaging.series import Series


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What a hospital says about the choice of its scans.

    Args:
        prefer: Regular expressions, best first, looked for in the description, method and kernel
            of a reconstruction without regard to case.
        origins: Start of treatment as YYYYMMDD by patient id; the PET nearest before it is the
            baseline.
        chosen: Identities of volumes and masks that a person chose.
        excluded: Identities of those that a person excluded.
    """

    EXCLUDED: ClassVar[str] = "The hospital excluded it in scans.csv or choices.csv."

    prefer: tuple[str, ...] = ()
    origins: Mapping[str, str] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()

    def preference(self, series: Series) -> int:
        """Return the place of a reconstruction in the hospital's order, from 0.

        Source:
            The order is each hospital's own; EARL-compliant reconstructions make SUVs of
            different scanners comparable (Kaalep et al. 2018, 10.1007/s00259-018-3977-4).
        """
        words = " ".join(
            (
                series.description,
                series.header.text(tags.RECONSTRUCTION),
                series.header.text(tags.CONVOLUTION_KERNEL),
            )
        )
        for place, pattern in enumerate(self.prefer):
            if re.search(pattern, words[:WORDS_MAX], re.IGNORECASE):
                return place
        return len(self.prefer)


WORDS_MAX = 400
