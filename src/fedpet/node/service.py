"""The child process that opens a hospital's data and answers; its parent has the network.

```
python -m fedpet.node.service HOSPITAL SITE
```
One line of JSON in, one out: `{"header": ..., "arrays": FILE or null, "out": FILE}` is answered
with `{"header": ...}`, and the reply's arrays lie in `out`. The process ends when its parent does.
"""

from __future__ import annotations

import json
import logging
import os
import queue
import sys
import threading
from pathlib import Path
from typing import IO

from fedpet.cohort.samples import open_cohort
from fedpet.errors import FedpetError, UpdateError
from fedpet.federation.messages import Reply, Request, header_of, message_of
from fedpet.node.gate import Node
from fedpet.parameters import from_bytes, to_bytes

log = logging.getLogger(__name__)
PROPOSE = "propose"


class Service:
    """Answers requests for one hospital.

    Args:
        hospital: The hospital's folder, with `cohort` and `node` in it.
        site: Its name in the federation.
    """

    def __init__(self, hospital: Path, site: str) -> None:
        folder = hospital / "cohort"
        cohorts = {open_cohort(folder).name: folder} if (folder / "cohort.json").exists() else {}
        self._node = Node(site=site, folder=hospital / "node", cohorts=cohorts)

    def answer(self, line: bytes) -> bytes:
        """Answer one line."""
        asked = json.loads(line)
        arrays = {} if asked["arrays"] is None else from_bytes(Path(asked["arrays"]).read_bytes())
        request = message_of(asked["header"].encode(), arrays)
        if not isinstance(request, Request):
            raise UpdateError("A node takes requests, not replies.")
        reply = self._proposed(request) if request.kind == PROPOSE else self._node.handle(request)
        if reply.arrays:
            out = Path(asked["out"])
            part = out.with_suffix(".writing")
            part.write_bytes(to_bytes(reply.arrays))
            part.replace(out)
        return json.dumps({"header": header_of(reply).decode()}).encode()

    def _proposed(self, request: Request) -> Reply:
        """Keep a plan for a person here to read, and tell how it stands."""
        reasons: tuple[str, ...]
        try:
            _, objections = self._node.propose(str(request.body.get("plan")))
            decision = self._node.decision(request.plan)
            reasons = () if decision == "approved" else (*objections, _waits(decision))
        except FedpetError as error:
            reasons = (error.title,)
        return Reply(
            site=request.site,
            experiment=request.experiment,
            step=request.step,
            attempt=request.attempt,
            status="refused" if reasons else "ok",
            reasons=reasons,
        )


def _waits(decision: str | None) -> str:
    if decision is None:
        return "The plan waits for a person at this hospital to approve it."
    return f"The plan was {decision} at this hospital."


def serve(hospital: Path, site: str, *, wire: IO[bytes]) -> None:
    """Answer line after line until the parent closes the pipe."""
    lines: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(lines,), daemon=True).start()
    import torch

    torch.set_num_threads(1)  # another number adds in another order
    service = Service(hospital, site)
    wire.write(b'{"ready": true}\n')
    wire.flush()
    while True:
        wire.write(service.answer(lines.get()) + b"\n")
        wire.flush()


def _listen(lines: queue.SimpleQueue[bytes]) -> None:
    for line in sys.stdin.buffer:
        lines.put(line)
    os._exit(0)  # the parent is gone: nobody waits for what is being computed


def main() -> None:
    """Serve as the child of a node."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    wire = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints must not be taken for an answer
    try:
        serve(Path(sys.argv[1]), sys.argv[2], wire=wire)
    except FedpetError as error:
        log.error("service_ended reason=%s", error)
        wire.write(json.dumps({"ready": False, "reason": error.title}).encode() + b"\n")
        wire.flush()


if __name__ == "__main__":
    main()
