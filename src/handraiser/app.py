"""Builds the service from its settings, and closes what it opened."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib import resources
from typing import Any

from handraiser.answer import Answer, OrderDoor, preference_letters
from handraiser.answer.confirming import Confirming, template_of
from handraiser.answer.preference_letters import PreferenceLetters
from handraiser.core import confirmation, market
from handraiser.core.catalogue import Shelf
from handraiser.core.ledger_head import HeadKeys
from handraiser.core.links import Links, SigningKey
from handraiser.core.mjml.fill import Engine
from handraiser.core.order_links import OrderLinks
from handraiser.core.splice.finished import PARSERS
from handraiser.doors.control import Control
from handraiser.doors.counting import count
from handraiser.doors.keys import REMEMBERED, Keys
from handraiser.doors.mailer import carriers
from handraiser.doors.outbox import Outbox
from handraiser.doors.web import Health
from handraiser.enrich import Enrich
from handraiser.errors import Fault, SettingsRefused
from handraiser.experiments import Experiments
from handraiser.finished import Finish
from handraiser.govern import Desk, Govern
from handraiser.isolate import Isolate, Workers
from handraiser.jobs import LAPSING, Jobs, every, quietly
from handraiser.kpi import Kpi
from handraiser.memory import keep_memory_small
from handraiser.moving import Moving
from handraiser.prove import Prove
from handraiser.publish import Publish
from handraiser.report import Report
from handraiser.results import Results
from handraiser.settings import Settings
from handraiser.store import copying
from handraiser.store.database import Database
from handraiser.store.journal import Journal
from handraiser.store.keeper import Keeper
from handraiser.store.kept_heads import FILE_NAME, KeptHeads
from handraiser.store.subjects import Sealer
from handraiser.store.writer import Reader, Writer
from handraiser.telemetry import Metrics
from handraiser.template_files import read_shop_rules, read_words, words_of

log = logging.getLogger("handraiser.app")

Clock = Callable[[], int]
POLL_SECONDS = 1.0
JOBS_SECONDS = 60.0
SETTLE_SECONDS = 5.0
_SECRETS = ("signing_keys", "pepper", "data_keys")


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that runs behind the doors, built once."""

    settings: Settings
    database: Database
    writer: Writer
    links: Links
    enrich: Enrich
    finish: Finish
    workers: Workers
    answer: Answer
    order_door: OrderDoor
    outbox: Outbox
    publish: Publish
    experiments: Experiments
    report: Report
    govern: Govern
    desk: Desk
    jobs: Jobs
    results: Results
    kpi: Kpi
    prove: Prove
    moving: Moving
    metrics: Metrics
    keys: Keys
    health: Health
    words: Callable[[str], Mapping[str, str]]

    async def command(self, name: str, arguments: dict[str, Any]) -> Any:
        """One command of the CLI, answered in JSON's types."""
        if name == "why":
            return await self.report.why(**arguments)
        if name == "relay.rehearse":
            return await self._rehearsed(**arguments)
        if name in Results.COMMANDS:
            customers = await (self.kpi.rebuild() if name == "tallies.rebuild" else self.kpi.verify())
            told = await self.results.command(name)
            return told | customers | {"ok": told["ok"] and customers["ok"]} if "ok" in told else told | customers
        if name in Kpi.COMMANDS:
            return await self.kpi.command(name, arguments)
        if name in Moving.COMMANDS:
            return await self.moving.command(name, arguments)
        if name in Prove.COMMANDS:
            return await self.prove.command(name, arguments)
        if name in Desk.COMMANDS:
            return await self.desk.command(name, arguments)
        answer = await self.govern.command(name, arguments)
        if name == "shops.add":
            shop = await self.govern.shop(answer["slug"])
            await self.publish.put_starter(shop.controller.id)
            await self.publish.refresh()
        return answer

    async def _rehearsed(self, mail: str, sender: str, shop: str | None) -> dict[str, Any]:
        """A mail (base64) under the rules as they stand in the files now, of one shop or of all."""
        rules, _ = read_shop_rules(self.settings.templates)
        chosen = [one for one in rules if shop in (None, one.shop)]
        return await self.finish.rehearsed(base64.b64decode(mail), sender, chosen)


def complete(settings: Settings) -> Settings:
    """The settings with the secrets that were not given.

    An installation on SQLite lives in its state folder, so generated secrets can live there too. Replicas on
    PostgreSQL must share theirs: without them :class:`SettingsRefused` is raised.
    """
    missing = [name for name in _SECRETS if not getattr(settings, name)]
    if not missing:
        return settings
    if not settings.database.startswith("sqlite"):
        needed = [name for name in missing if name != "data_keys"]
        if needed:
            raise SettingsRefused(
                [Fault(name, "missing", "replicas share this secret: set it, or its _FILE") for name in needed]
            )
        return settings
    keeper = Keeper.open(settings.state_dir)
    return settings.model_copy(update={name: keeper.secret(name) for name in missing})


@asynccontextmanager
async def open_service(settings: Settings, now: Clock | None = None) -> AsyncIterator[Service]:
    """The running service without its HTTP door: database open, catalogue loaded, periodic work started.

    ``now`` stands in for the clock (ms UTC).

    Raises :class:`SettingsRefused`, and :class:`StoreError` when the database cannot be opened.
    """
    settings = complete(settings)
    keep_memory_small()
    async with AsyncExitStack() as stack:
        database = await Database.open(
            settings.database,
            pooler=settings.database_pooler,
            seconds=settings.store_seconds,
            pool_size=settings.database_connections,
            lock_seconds=settings.lock_seconds,
        )
        stack.push_async_callback(database.close)
        await copying.opened(database)
        isolate = Isolate(seconds=settings.compile_seconds, memory_bytes=settings.compile_bytes)
        stack.callback(isolate.close)
        workers = Workers(
            settings.enrich_workers,
            seconds=settings.enrich_seconds,
            memory_bytes=settings.compile_bytes,
            preload=PARSERS,
        )
        stack.callback(workers.close)
        reader = Reader(database, queue_limit=settings.queue_limit)
        writer = Writer(database, queue_limit=settings.queue_limit)
        stack.push_async_callback(reader.close)
        stack.push_async_callback(writer.close)
        service = _build(settings, database, isolate, workers, reader, writer, now or clock)
        stack.push_async_callback(service.answer.close)
        await service.publish.refresh()
        for fault in service.publish.faults:
            log.error("left out of the catalogue", extra={"facts": {"fault": fault}})
        service.keys.remember(await service.govern.live_keys(REMEMBERED // 2))
        await quietly(service.answer.apply_journal)
        for work, seconds in (
            (service.publish.refresh, POLL_SECONDS),
            (service.answer.settle, SETTLE_SECONDS),
            (partial(service.jobs.alone, LAPSING, service.answer.lapse), JOBS_SECONDS),
            (service.jobs.run_due, JOBS_SECONDS),
            (service.jobs.seal, settings.seal_seconds),
            (service.results.refresh, settings.results_seconds),
            (service.kpi.refresh, settings.results_seconds),
        ):
            task = asyncio.create_task(every(seconds, work))
            stack.push_async_callback(_stop, task)
        stack.push_async_callback(_stop, asyncio.create_task(service.outbox.run()))
        if settings.database.startswith("sqlite"):
            control = Control(settings.state_dir, service.command)
            await control.open()
            stack.push_async_callback(control.close)
        yield service


def _build(
    settings: Settings,
    database: Database,
    isolate: Isolate,
    workers: Workers,
    reads: Reader,
    writer: Writer,
    now: Clock,
) -> Service:
    """Every story with what it needs; nothing here waits."""
    all_words = read_words(settings.templates)
    words = partial(words_of, all_words)
    markets = market.load(resources.files("handraiser.core").joinpath("markets.toml").read_text(encoding="utf-8"))
    signing = [SigningKey(*key) for key in settings.keys("signing_keys")]
    links, order_links = Links(signing), OrderLinks(signing)
    pepper = settings.keys("pepper")[-1][:2]
    sealer = Sealer([key[:2] for key in settings.keys("data_keys")])
    metrics, shelf, engine = Metrics(), Shelf(), Engine()
    base: dict[str, Any] = {"writer": writer, "clock": now, "new_id": new_id}
    shared = base | {"links": links, "markets": markets, "sealer": sealer}
    compiling: dict[str, Any] = {"shelf": shelf, "engine": engine, "isolate": isolate, "words": all_words}
    publish = Publish(database=database, root=settings.templates, **compiling, **base)
    journal = Journal(settings.state_dir / "withdrawals.journal")
    answer = Answer(database=database, journal=journal, pepper=pepper[1], hosting=settings.hosting_networks, **shared)
    enrich = _enrich(publish, answer, reader=reads, shelf=shelf, engine=engine, words=words, pepper=pepper, **shared)
    outbox = _outbox(settings, database, words, **shared)
    govern = Govern(database, writer, now, new_id, settings.origin, order_links)
    kept = _kept(settings)
    count(metrics, enrich, answer, writer, outbox, journal=journal, clock=now)
    holder = os.urandom(8).hex()
    return Service(
        settings=settings,
        database=database,
        writer=writer,
        links=links,
        enrich=enrich,
        workers=workers,
        finish=_finish(settings, workers, enrich, govern, writer=writer, shelf=shelf, markets=markets, clock=now),
        answer=answer,
        order_door=OrderDoor(database=database, links=links, order_links=order_links, sealer=sealer, view=enrich.view),
        outbox=outbox,
        publish=publish,
        experiments=Experiments(database=database, refresh=publish.refresh, **base),
        report=Report(database, pepper[1], links),
        govern=govern,
        desk=Desk.of(database, writer, links=links, sealer=sealer, pepper=pepper, clock=now, new_id=new_id),
        jobs=Jobs(database=database, settings=settings, clock=now, holder=holder, kept=kept),
        results=Results(database, isolate, now, holder),
        kpi=Kpi(database, now, holder),
        prove=Prove(database, kept),
        moving=moving_of(settings, database, now),
        metrics=metrics,
        keys=Keys(govern.find_key, now),
        health=Health(metrics, writer.ready),
        words=words,
    )


def _kept(settings: Settings) -> KeptHeads:
    return KeptHeads(settings.state_dir / FILE_NAME, HeadKeys([key[:2] for key in settings.keys("signing_keys")]))


def moving_of(settings: Settings, database: Database, now: Clock) -> Moving:
    """What copies this installation's database, by itself or within a service. Settings are complete."""
    return Moving(database, lambda target: Prove(target, _kept(settings)).verify(), now)


def _enrich(publish: Publish, answer: Answer, **shared: Any) -> Enrich:
    return Enrich(
        page_by_key=publish.page_by_key,
        block_by_key=publish.block_by_key,
        before_asking=answer.apply_journal,
        **shared,
    )


def _finish(settings: Settings, workers: Workers, enrich: Enrich, govern: Govern, **shared: Any) -> Finish:
    rules, faults = read_shop_rules(settings.templates)
    for fault in faults:
        log.error("no rule of this shop counts", extra={"facts": {"fault": str(fault)}})
    return Finish(
        compose=enrich.letter,
        rules=rules,
        shop_of=govern.shop,
        workers=workers,
        max_bytes=settings.enrich_bytes,
        **shared,
    )


def _outbox(settings: Settings, database: Database, words: Callable[[str], Mapping[str, str]], **shared: Any) -> Outbox:
    """What leaves by itself, and who writes it."""
    source = (settings.templates / "emails" / "confirmation.html").read_text(encoding="utf-8")
    given: dict[str, Any] = {"database": database, "template": template_of(source), "words": words}
    given |= {name: shared[name] for name in ("links", "sealer")}
    confirming = Confirming(markets=shared["markets"], clock=shared["clock"], **given)
    letters = {confirmation.EVENT: confirming.letter, preference_letters.EVENT: PreferenceLetters(**given).letter}
    return Outbox(database, carriers(settings.smtp_url, letters), shared["clock"])


def clock() -> int:
    """Now, in ms UTC."""
    return time.time_ns() // 1_000_000


def new_id(at: int) -> bytes:
    """A UUIDv7 (RFC 9562 §5.7) of the moment ``at`` (ms UTC)."""
    random = int.from_bytes(os.urandom(10))
    return (
        (at & (2**48 - 1)) << 80 | 7 << 76 | (random >> 62 & 0xFFF) << 64 | 2 << 62 | random & (2**62 - 1)
    ).to_bytes(16)


async def _stop(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
