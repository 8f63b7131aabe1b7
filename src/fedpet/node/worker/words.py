"""All that can be told of a worker's failure outside the hospital: fixed words, a few codes."""

from __future__ import annotations

from fedpet.errors import UpdateError

WORDS = {
    "FP-7000": "The plan's own network could not be used at this hospital.",
    "FP-7010": "The plan's own network failed at this hospital; details are in the site's own log.",
    "FP-7011": "The plan's own network took longer than this hospital allows; it was ended.",
    "FP-7012": "The plan's own network needed more memory than this hospital allows.",
    "FP-7013": "The plan's own network gave names, shapes or counts that are not the plan's.",
    "FP-7014": "The plan's own network gave values that are not finite, or too large.",
}


class FailedWorkError(UpdateError):
    """A worker's failure in our words, with its own words for the hospital's log.

    Args:
        code: One of `WORDS`.
        detail: What the worker said; it may hold anything, and never leaves.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(WORDS[code], code=code)
        self.detail = detail


def failure(code: str, detail: str = "") -> FailedWorkError:
    """Return the error for one of the codes."""
    return FailedWorkError(code, detail)
