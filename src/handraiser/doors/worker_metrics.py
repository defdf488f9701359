"""/metrics of processes that share a port: whichever is asked answers for all, each under its label ``worker``."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from handraiser.doors.control import Control, ControlFailed, ask

SECONDS = 2.0


class WorkerMetrics:
    """One worker's part: it answers the others at ``socket``, and finds them beside it."""

    def __init__(self, registry: CollectorRegistry, socket: Path) -> None:
        self._registry, self._socket = registry, socket
        self._control = Control(socket.parent, self._own, socket.name)

    async def open(self) -> None:
        """Answer the others until :meth:`close`."""
        await self._control.open()

    async def close(self) -> None:
        await self._control.close()

    async def exposition(self) -> bytes:
        """The metrics of all workers that answer within two seconds, as Prometheus text."""
        sockets = sorted(self._socket.parent.glob("worker-*.sock"))
        texts = await asyncio.gather(*(self._of(socket) for socket in sockets))
        together = CollectorRegistry()
        together.register(_Labelled({socket.stem: text for socket, text in zip(sockets, texts, strict=True)}))
        return generate_latest(together)

    async def _of(self, socket: Path) -> str:
        if socket == self._socket:
            return generate_latest(self._registry).decode()
        try:
            text: str = await ask(socket.parent, "metrics", {}, seconds=SECONDS, name=socket.name)
        except (ControlFailed, TimeoutError, OSError, ValueError):
            return ""  # it is starting, or ended: its socket is left behind until it is back
        return text

    async def _own(self, _command: str, _arguments: dict[str, Any]) -> str:
        return generate_latest(self._registry).decode()


class _Labelled(Collector):
    def __init__(self, texts: Mapping[str, str]) -> None:
        self._texts = texts

    def collect(self) -> Iterator[Metric]:
        families: dict[str, Metric] = {}
        for worker, text in self._texts.items():
            for family in text_string_to_metric_families(text):
                one = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                for sample in family.samples:
                    one.add_sample(sample.name, {**sample.labels, "worker": worker}, sample.value)
        yield from families.values()
