"""How the coordinator is: `/healthz` and Prometheus `/metrics`, on loopback only."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

LINE_LIMIT_BYTES = 4096
READ_S = 5.0


@dataclass(slots=True)
class Metrics:
    """What is measured.

    Args:
        started_at: When the coordinator started, seconds since 1970.
        connected: Whether it is connected to the broker.
        beats: Signs of life heard.
        broker_starts: How often the embedded broker was started.
        states: State of each site, by name.
        away_s: Seconds since each site's last sign; None if there was none.
    """

    started_at: float
    connected: bool = False
    beats: int = 0
    broker_starts: int = 0
    states: Mapping[str, str] = field(default_factory=dict)
    away_s: Mapping[str, float | None] = field(default_factory=dict)

    def exposition(self) -> str:
        """Return the text that Prometheus reads."""
        lines = [
            "# TYPE fedpet_up gauge",
            f"fedpet_up {int(self.connected)}",
            "# TYPE fedpet_uptime_seconds gauge",
            f"fedpet_uptime_seconds {time.time() - self.started_at:.1f}",
            "# TYPE fedpet_beats_total counter",
            f"fedpet_beats_total {self.beats}",
            "# TYPE fedpet_broker_starts_total counter",
            f"fedpet_broker_starts_total {self.broker_starts}",
            "# TYPE fedpet_site_info gauge",
        ]
        lines += [
            f'fedpet_site_info{{site="{site}",state="{state}"}} 1'
            for site, state in sorted(self.states.items())
        ]
        lines.append("# TYPE fedpet_site_away_seconds gauge")
        lines += [
            f'fedpet_site_away_seconds{{site="{site}"}} {away_s:.1f}'
            for site, away_s in sorted(self.away_s.items())
            if away_s is not None
        ]
        return "\n".join(lines) + "\n"


async def serve_metrics(port: int, measure: Callable[[], Metrics]) -> None:
    """Answer on 127.0.0.1 until cancelled."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.TimeoutError, ValueError):
            async with asyncio.timeout(READ_S):
                line = await reader.readline()
                writer.write(_response(line, measure()))
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=LINE_LIMIT_BYTES)
    async with server:
        await server.serve_forever()


def _response(line: bytes, metrics: Metrics) -> bytes:
    path = line.split()[1:2]
    if path == [b"/metrics"]:
        status, body = "200 OK", metrics.exposition()
    elif path == [b"/healthz"]:
        status = "200 OK" if metrics.connected else "503 Service Unavailable"
        body = "ok\n" if metrics.connected else "no broker\n"
    else:
        status, body = "404 Not Found", "not found\n"
    head = f"HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}".encode()
