"""Losses for networks; every subject's term stands alone, so that any batch is valid."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def logistic_hazard_loss(
    logits: Tensor, time_days: Tensor, event: Tensor, edges_days: Tensor
) -> Tensor:
    """Return the negative log-likelihood of each subject under a discrete-time hazard.

    A subject is at risk in every interval before its own; in its own interval it has the event,
    or, if censored, counts as at risk when it was followed past the interval's middle. Beyond the
    last edge a subject has survived every interval.

    Args:
        logits: [n, K], log-odds of the event in an interval, given survival to its start.
        time_days: [n], finite, from 0.
        event: [n], bool.
        edges_days: [K + 1], interval edges from 0.

    Returns:
        [n], to be masked and averaged by the caller.

    Source:
        Gensheimer & Narasimhan 2019; Kvamme & Borgan 2019 (logistic hazard).

    Examples:
        >>> loss = logistic_hazard_loss(torch.zeros(1, 2), torch.tensor([15.0]),
        ...                             torch.tensor([True]), torch.tensor([0.0, 10.0, 20.0]))
        >>> round(float(loss), 4)
        1.3863
    """
    starts, ends = edges_days[:-1], edges_days[1:]
    time = time_days[:, None]
    own = (time > starts) & (time <= ends)
    own[:, 0] |= time_days <= 0
    dies = own & event[:, None]
    at_risk = (time > ends) | dies | (own & (time > (starts + ends) / 2))
    terms = functional.binary_cross_entropy_with_logits(
        logits, dies.to(logits.dtype), reduction="none"
    )
    return (terms * at_risk).sum(dim=1)


def survival_from_logits(logits: Tensor) -> Tensor:
    """Return the probability of surviving each interval's end, [n, K]."""
    return torch.exp(-functional.softplus(logits).cumsum(dim=1))
