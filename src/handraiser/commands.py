"""What the command line does beside serving: on the database, or through the service that holds it."""

from __future__ import annotations

import asyncio
import base64
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handraiser.app import clock, complete, moving_of, open_service
from handraiser.core.letter import Options
from handraiser.core.mailbox import sole_address
from handraiser.core.payload import parse
from handraiser.doors import control
from handraiser.errors import HandraiserError, Refused, SettingsRefused, StoreError, TemplateRefused
from handraiser.moving import Moved as RowsMoved
from handraiser.prove import Moved
from handraiser.settings import Settings
from handraiser.store import schema
from handraiser.store.database import Database
from handraiser.template_files import read_shop_rules, read_signing_keys

if TYPE_CHECKING:
    from handraiser.core.rules.match import Heading, ShopRule
    from handraiser.core.rules.recognise import Recognised, Unrecognised

LONG = frozenset({"copy_to", "consents.rebuild", "tallies.verify", "tallies.rebuild"})
"""Commands that take as long as there is data; nobody who waits for one is told that it failed."""

MOVED_SECONDS = 0.5
"""How often a running service is asked how far it is."""

_THROW_AWAY = {"database_url": "", "signing_keys": "", "pepper": "", "data_keys": ""}


async def run_command(settings: Settings, name: str, arguments: dict[str, Any]) -> Any:
    """One command, through the running service where there is one (SQLite serves one process), else directly."""
    if settings.database.startswith("sqlite"):
        try:
            seconds = None if name in LONG else control.ANSWER_SECONDS
            return await control.ask(settings.state_dir, name, arguments, seconds=seconds)
        except control.NoService:
            pass
    async with open_service(settings) as service:
        return await service.command(name, arguments)


async def verify(settings: Settings, head: Path | None, moved: Moved) -> dict[str, Any]:
    """``consents verify``; ``moved`` is told now and then how many entries of how many are proven."""
    arguments = {"head": str(head) if head else None}
    if settings.database.startswith("sqlite"):
        with suppress(control.NoService):
            return await _followed(settings, "consents.verify", arguments, "consents.verified", moved)
    async with open_service(settings) as service:
        return await service.prove.verify(head, moved)


async def copy_to(settings: Settings, url: str, moved: RowsMoved) -> dict[str, Any]:
    """``copy-to``: through the service that holds the database, or, where none runs, for good."""
    if settings.database.startswith("sqlite"):
        with suppress(control.NoService):
            return await _followed(settings, "copy_to", {"url": url}, "copied", moved)
        if not Path(settings.database.removeprefix("sqlite:///")).exists():
            raise StoreError(f"there is no database at {settings.database}")
    database = await Database.open(settings.database, seconds=settings.store_seconds)
    try:
        return await moving_of(complete(settings), database, clock).copy_to(url, moved, final=True)
    finally:
        await database.close()


async def _followed(
    settings: Settings, name: str, arguments: dict[str, Any], how_far: str, moved: Callable[..., None]
) -> dict[str, Any]:
    """A long command of the running service; ``moved`` is told now and then what ``how_far`` answers."""
    asked = asyncio.create_task(control.ask(settings.state_dir, name, arguments, seconds=None))
    while not (await asyncio.wait([asked], timeout=MOVED_SECONDS))[0]:
        with suppress(control.ControlFailed):  # a service that ends tells so by its answer
            done, total, *where = await control.ask(settings.state_dir, how_far, {})
            if total:
                moved(done, total, *where)
    found: dict[str, Any] = asked.result()
    return found


async def render_file(settings: Settings, payload: Path, out: Path, slug: str) -> list[str]:
    """Render a payload file as ``<name>.html`` and ``<name>.txt`` in ``out``, as a first-time customer would get it.

    Returns the lines to print: the files, what was placed, what was skipped and why, the warnings. Nothing is kept.
    """
    source = settings.templates / "shops" / slug / "shop.toml"
    if not source.is_file():
        known = ", ".join(sorted(path.parent.name for path in source.parents[1].glob("*/shop.toml")))
        raise HandraiserError(f"there is no shop “{slug}” in the templates; known are: {known}")
    body = parse(payload.read_bytes())
    with tempfile.TemporaryDirectory(prefix="handraiser-") as folder:
        async with open_service(settings.model_copy(update={**_THROW_AWAY, "state_dir": Path(folder)})) as service:
            await service.command("shops.add", {"source": source.read_text(encoding="utf-8")})
            shop = await service.govern.shop(slug)
            composed = await service.enrich.email(shop, body, Options(dry_run=True))
    out.mkdir(parents=True, exist_ok=True)
    html, text = out / f"{payload.stem}.html", out / f"{payload.stem}.txt"
    html.write_text(composed.filled.html, encoding="utf-8")
    text.write_text(composed.filled.text, encoding="utf-8")
    lines = [f"subject: {composed.filled.subject}", f"html: {html}", f"text: {text}"]
    lines += [f"placed: {one.slot}: {one.block} ({one.variant})" for one in composed.decision.placements]
    lines += [f"skipped: {one.slot}: {one.block}: {one.reason}: {one.remedy}" for one in composed.decision.skipped]
    return lines + [f"warning: {one.pointer}: {one.detail}" for one in composed.warnings]


async def check(settings: Settings) -> list[str]:
    """Every fault in templates, blocks, purposes, shops, rules, markets and schema, one line each; none changes
    anything."""
    faults = [
        *_check_secrets(settings),
        *await _check_templates(settings),
        *_check_rules(settings),
        *await _check_schema(settings),
    ]
    return list(dict.fromkeys(faults))


def _check_secrets(settings: Settings) -> list[str]:
    """The secrets that replicas must share and were not given; an embedded database's are made when they are needed."""
    if settings.database.startswith("sqlite"):
        return []
    try:
        complete(settings)
    except SettingsRefused as error:
        return [f"settings: {fault.pointer}: {fault.detail}" for fault in error.faults]
    return []


def _check_rules(settings: Settings) -> list[str]:
    """Faults of the rules for finished mail, and keys that cannot be read."""
    rules, faults = read_shop_rules(settings.templates)
    return [str(fault) for fault in (*faults, *read_signing_keys(settings.templates, rules)[1])]


async def _check_templates(settings: Settings) -> list[str]:
    """Put every shop of the templates into a throw-away installation, and compile all it would show."""
    faults: list[str] = []
    with tempfile.TemporaryDirectory(prefix="handraiser-") as folder:
        throw_away = settings.model_copy(update={**_THROW_AWAY, "state_dir": Path(folder)})
        async with open_service(throw_away) as service:
            for path in sorted((settings.templates / "shops").glob("*/shop.toml")):
                try:
                    shop = await service.govern.add_shop(path.read_text(encoding="utf-8"))
                    await service.publish.put_starter(shop.controller.id)
                except Refused as error:
                    faults += [
                        f"{path.parent.name}/shop.toml: {fault.pointer}: {fault.detail}" for fault in error.faults
                    ]
                except HandraiserError as error:
                    faults += str(error).splitlines()
            await service.publish.refresh()
            faults += [line for fault in service.publish.faults for line in fault.splitlines()]
    return faults


async def _check_schema(settings: Settings) -> list[str]:
    """What is wrong with the database's schema; a service that runs on it has checked it at its start."""
    if settings.database.startswith("sqlite"):
        if not Path(settings.database.removeprefix("sqlite:///")).exists():
            return []
        try:
            await control.ask(settings.state_dir, "shops.list", {})
        except control.NoService:
            pass
        else:
            return []
    try:
        database = await _opened(settings)
    except StoreError as error:
        return [f"database: {error}"]
    try:
        missing = await schema.pending(database)
    except StoreError as error:
        return [f"database: {error}"]
    finally:
        await database.close()
    return [f"database: migration {name} is not applied; run handraiser migrate" for name in missing]


async def migrate(settings: Settings) -> Sequence[str]:
    """Apply what the schema lacks; the names applied."""
    database = await _opened(settings)
    try:
        return await schema.migrate(database)
    finally:
        await database.close()


async def _opened(settings: Settings) -> Database:
    return await Database.open(
        settings.database,
        migrate=False,
        pooler=settings.database_pooler,
        seconds=settings.store_seconds,
        pool_size=settings.database_connections,
        lock_seconds=settings.lock_seconds,
    )


async def relay_test(settings: Settings, mail: Path, shop: str | None, sender: str | None) -> dict[str, Any]:
    """What the relay would make of a mail in a file: for each rule what speaks against it, the rule that counts, what
    is read out, what this installation would decide for the mail's reader and where that would stand, and why the mail
    would pass as it is ("" where it would be enriched).

    Without ``sender`` the Return-Path is the envelope's sender, else the From; the To is its recipient. Raises
    :class:`TemplateRefused` when a rules file has faults.
    """
    from handraiser.core.rules.file import FIELDS
    from handraiser.core.rules.match import Heading, candidates, heading_of
    from handraiser.core.rules.recognise import Unrecognised, recognise

    rules, faults = read_shop_rules(settings.templates)
    if faults:
        raise TemplateRefused(faults)
    rules = tuple(one for one in rules if shop in (None, one.shop))
    raw = re.sub(rb"\r\n|\r|\n", b"\r\n", mail.read_bytes())
    fields = heading_of(raw, "").fields
    known = Heading("", fields)
    if sender is None:
        sender = sole_address(known.only("return-path")) or sole_address(known.only("from"))
    heading = Heading(sender, fields)
    possible = candidates(rules, heading)
    found = recognise(raw, sender, possible, max_bytes=settings.enrich_bytes)
    reader = sole_address(heading.only("to"))
    told: dict[str, Any] = {
        "envelope_from": sender,
        "reader": reader,
        "rules": list(_verdicts(rules, heading, found)),
        "reason": found.reason if isinstance(found, Unrecognised) else "" if reader else "to_differs",
    }
    decision: dict[str, Any] = {}
    if not told["reason"]:
        arguments = {"mail": base64.b64encode(raw).decode(), "sender": sender, "shop": shop}
        decision = await run_command(settings, "relay.rehearse", arguments)
        told["reason"] = decision["reason"]
    told["then"] = f"passes as it is: {told['reason']}" if told["reason"] else "goes on with what was placed"
    if isinstance(found, Unrecognised):
        return told
    rule = found.rule
    return told | {
        "shop": found.shop,
        "rule": rule.id,
        "type": rule.type,
        "values": found.values,
        "missing": [name for name in FIELDS if getattr(rule.extract, name) and name not in found.values],
        "place": rule.place.model_dump(mode="json"),
        "soft_opt_in": rule.soft_opt_in.model_dump(mode="json") if rule.soft_opt_in else None,
        "copies": list(rule.copies),
        "signed": found.signed,
        "signed_anew": rule.dkim.policy == "resign",
        **decision,
    }


def _verdicts(
    rules: Sequence[ShopRule], heading: Heading, found: Recognised | Unrecognised
) -> Iterator[dict[str, str]]:
    """What became of each rule, in words."""
    from handraiser.core.rules.match import objection

    counted = False
    winner = (found.shop, getattr(found.rule, "id", found.rule))
    for one in rules:
        missing = f"no JSON-LD {one.rule.match.json_ld}" if one.rule.match.json_ld else "the mail cannot be read"
        verdict = objection(one.rule, heading) or ("an earlier one counts" if counted else missing)
        if (one.shop, one.rule.id) == winner:
            counted, verdict = True, "counts"
        yield {"shop": one.shop, "rule": one.rule.id, "verdict": verdict}
