"""D8: keys come and go. A retired key opens no ask any more, but whoever wants to leave still can."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from handraiser.store.access import SCOPES
from programs import Programs
from running import TENTS, free_port, running, settings_for
from siege import Clock, Siege

OLD, NEW = "o" * 64, "n" * 64


async def test_d8_an_ask_outlives_a_rotation_and_leaving_outlives_a_retirement(tmp_path: Path, compiled: Programs):
    clock, port = Clock(time.time_ns() // 1_000_000), free_port()

    @asynccontextmanager
    async def started(keys: str, *shops: str) -> AsyncIterator[Siege]:
        settings = settings_for(
            tmp_path, f"sqlite:///{tmp_path / 'h.db'}", signing_keys=keys, listen=f"127.0.0.1:{port}"
        )
        async with running(settings, compiled, shops, clock) as it, aiohttp.ClientSession() as raw:
            if not shops:
                it.keys["tents"] = await it.service.govern.add_key("tents", sorted(SCOPES))
            yield Siege(it, clock, raw)

    async with started(f"1:{OLD}", TENTS) as siege:
        alice, bob = await siege.ask(), await siege.ask()

    async with started(f"1:{OLD},2:{NEW}") as siege:
        await siege.press(alice.link)
        assert await siege.events(alice) == ["granted"]
        newer = await siege.ask()
        assert siege.links.read(newer.token).kind == siege.links.read(bob.token).kind
        assert newer.token[:2] != bob.token[:2], "the new key signs"

    async with started(f"1:{OLD}:withdraw-only,2:{NEW}") as siege:
        assert (await siege.get(bob.link)).status == 404
        assert (await siege.get(newer.link)).status == 200
        said = await siege.send("POST", alice.leave, {"List-Unsubscribe": "One-Click"}, {})
        assert said.status == 200
        assert await siege.events(alice) == ["granted", "withdrawn"]
