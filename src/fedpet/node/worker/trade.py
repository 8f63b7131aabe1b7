"""What a worker can do: open a cohort, do one unit of work, put subjects through a network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from fedpet import planfile
from fedpet.cohort.samples import Cohort
from fedpet.errors import UpdateError
from fedpet.models.own import execute, provided_by
from fedpet.node.worker.shipping import unpack
from fedpet.parameters import Array, Parameters, from_bytes, to_bytes
from fedpet.plan import Plan
from fedpet.training.networks import load_model, network_of
from fedpet.training.work import WORK


class Trade:
    """One worker's plan, cohort and network, kept from request to request."""

    def __init__(self) -> None:
        self._plan: Plan | None = None
        self._cohort: Cohort | None = None
        self._network: torch.nn.Module | None = None

    def do(self, header: Mapping[str, Any], block: bytes) -> bytes:
        """Do one unit and return its arrays as bytes.

        Args:
            header: `do`: `open`, `work`, `load` or `forward`, and what it needs.
            block: Its arrays.
        """
        arrays = from_bytes(block)
        with provided_by(execute):
            return to_bytes(getattr(self, f"_{header['do']}")(header, arrays))

    def _open(self, header: Mapping[str, Any], arrays: Parameters) -> dict[str, Array]:
        torch.set_num_threads(int(header["threads"]))
        self._plan = planfile.loads(header["plan"], name="the plan")
        self._cohort = unpack(header["cohort"], arrays)
        return {}

    def _work(self, header: Mapping[str, Any], arrays: Parameters) -> Mapping[str, Array]:
        plan, cohort = self._opened()
        return WORK[header["kind"]](cohort, plan, header["body"], arrays)

    def _load(self, header: Mapping[str, Any], arrays: Parameters) -> dict[str, Array]:
        plan, cohort = self._opened()
        self._network = network_of(
            plan, covariates=header["covariates"], image_shape=cohort.mips.shape[1:]
        )
        load_model(self._network, arrays)
        self._network.eval()
        return {}

    def _forward(self, header: Mapping[str, Any], arrays: Parameters) -> dict[str, Array]:
        del header
        if self._network is None:
            raise UpdateError("No network was loaded.")
        with torch.inference_mode():
            found = self._network(
                torch.from_numpy(arrays["images"]), torch.from_numpy(arrays["covariates"])
            )
            return {name: logits.float().numpy() for name, logits in found.items()}

    def _opened(self) -> tuple[Plan, Cohort]:
        if self._plan is None or self._cohort is None:
            raise UpdateError("No plan was opened.")
        return self._plan, self._cohort
