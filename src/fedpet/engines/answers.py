"""What every engine does with what a site sent: an answer to this question, or no answer."""

from __future__ import annotations

from fedpet.federation.messages import Reply, Request


def failed(request: Request, reason: str) -> Reply:
    """Return the reply of a site that gave none that can be used."""
    return Reply(
        site=request.site,
        experiment=request.experiment,
        step=request.step,
        attempt=request.attempt,
        status="failed",
        reasons=(reason,),
    )


def as_asked(request: Request, message: Request | Reply) -> Reply:
    """Return a site's message if it answers this request, otherwise a failed reply."""
    if not isinstance(message, Reply):
        return failed(request, "The site answered with a request.")
    asked = (request.site, request.experiment, request.step, request.attempt)
    if (message.site, message.experiment, message.step, message.attempt) != asked:
        return failed(request, "The site answered another question.")
    return message
