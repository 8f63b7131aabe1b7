"""Every error that a user can meet, as one tree.

```
FedpetError            exit 1   never raised itself
├── PlanError          exit 3   FP-20xx  the plan cannot be read or contradicts itself
├── DataError          exit 3   FP-21xx  a scan, a mask, a table or a cohort cannot be used
├── StoreError         exit 3   FP-30xx  a file of ours is missing, altered or from another version
├── EngineError        exit 4   FP-40xx  a site or the coordinator cannot be reached
├── RefusalError       exit 5   FP-50xx  a hospital's policy or approval says no
├── NotFoundError      exit 6   FP-60xx  a named thing does not exist
└── UpdateError        exit 7   FP-70xx  too few, or unusable, contributions to a sum
```

A message says where, what was found, what was expected and what to do. It never holds a
patient's name, number or date of birth, and never a path when it is meant for another site.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar


class FedpetError(Exception):
    """An error whose text is written for the person who can mend it.

    Args:
        title: One sentence: where, what was found, what was expected.
        why: The reason behind it, when the title does not already say it.
        do: What the reader can do now, most likely remedy first.
        code: A stable number such as `FP-2104`; the class's own number unless told.

    Examples:
        >>> str(DataError("Scan 3f2a has no weight.", do="Add weights in fixes.csv."))
        'Scan 3f2a has no weight. Add weights in fixes.csv.'
    """

    code_default: ClassVar[str] = "FP-1000"
    exit_code: ClassVar[int] = 1

    def __init__(
        self, title: str, *, why: str = "", do: str | Sequence[str] = (), code: str | None = None
    ) -> None:
        self.title = title
        self.why = why
        self.do = (do,) if isinstance(do, str) else tuple(do)
        self.code = code or self.code_default
        super().__init__(" ".join(part for part in (title, why, *self.do) if part))


class PlanError(FedpetError):
    """The plan cannot be read, or contradicts itself."""

    code_default = "FP-2000"
    exit_code = 3


class DataError(FedpetError):
    """A scan, a mask, a table or a cohort cannot be used."""

    code_default = "FP-2100"
    exit_code = 3


class StoreError(FedpetError):
    """A file that fedpet wrote is missing, altered or from another version."""

    code_default = "FP-3000"
    exit_code = 3


class EngineError(FedpetError):
    """A site or the coordinator cannot be reached."""

    code_default = "FP-4000"
    exit_code = 4


class RefusalError(FedpetError):
    """A hospital's policy or approval says no; the text lists every reason."""

    code_default = "FP-5000"
    exit_code = 5


class NotFoundError(FedpetError):
    """A named plan, run, cohort, model or column does not exist."""

    code_default = "FP-6000"
    exit_code = 6


class UpdateError(FedpetError):
    """Too few contributions to a sum, or contributions that cannot be used."""

    code_default = "FP-7000"
    exit_code = 7
