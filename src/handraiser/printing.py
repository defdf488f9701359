"""What commands answer, printed for people or for machines."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import click


def print_value(value: Any, *, as_json: bool) -> None:
    """A value of JSON's types: as one JSON line, or as a table, a list of fields or a text."""
    if as_json:
        click.echo(json.dumps(value, ensure_ascii=False, default=str))
    elif isinstance(value, dict):
        _print_object(value)
    elif isinstance(value, list):
        _print_table(value)
    else:
        click.echo(value)


def _print_object(value: dict[str, Any]) -> None:
    width = max((len(name) for name in value), default=0)
    for name, one in value.items():
        if isinstance(one, list | tuple) and one and isinstance(one[0], dict):
            click.echo(f"{name}:")
            for item in one:
                click.echo("  - " + _pairs(item))
        else:
            click.echo(f"{name.ljust(width)}  {_text(name, one)}")


def _print_table(rows: list[dict[str, Any]]) -> None:
    if not rows:
        click.echo("nothing")
        return
    names = list(rows[0])
    table = [names, *[[_text(name, row[name]) for name in names] for row in rows]]
    widths = [max(len(line[n]) for line in table) for n in range(len(names))]
    for line in table:
        click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())


def _pairs(value: dict[str, Any]) -> str:
    return "  ".join(f"{key}: {_text(key, one)}" for key, one in value.items() if one not in ("", None, [], ()))


def _text(name: str, value: Any) -> str:
    """A value for people: times (ms UTC) as such, lists and tables on one line."""
    if value in ("", None, [], (), {}):
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return _pairs(value)
    if isinstance(value, list | tuple):
        return ", ".join(_text(name, one) for one in value)
    if isinstance(value, int) and (name == "at" or name.endswith("_at")):
        return datetime.fromtimestamp(value / 1000, UTC).isoformat(" ", "seconds").removesuffix("+00:00") + " UTC"
    return str(value)


def print_copied(told: dict[str, Any]) -> None:
    """What a copy wrote, and whether it is the last one."""
    written = [one for one in told["tables"] if any(one[name] for name in ("new", "changed", "removed", "left"))]
    print_value(written, as_json=False)
    if told["final"]:
        print_verified(told["ledger"])
        click.echo("the copy is the same: start the service on it")
    else:
        click.echo("the service was running: stop it and copy once more")


def print_verified(found: dict[str, Any]) -> None:
    """What verifying the ledger found, in sentences."""
    for one in found["companies"]:
        click.echo(
            f"{one['company']}: {one['entries']} entries, {one['sealed']} sealed in {one['batches']} batches,"
            f" {one['waiting']} waiting"
        )
    click.echo(f"compared with {found['heads_compared']} kept heads")
    for one in found["broken"]:
        entry = f" entry {one['seq']}" if one["seq"] is not None else ""
        event = f" ({one['event_id']})" if one["event_id"] else ""
        click.echo(f"broken: {one['company']}{entry}{event}: {one['detail']}")
    for note in found["notes"]:
        click.echo(f"note: {note}")
    click.echo("the ledger is whole" if found["ok"] else f"the ledger is broken: {found['broken_count']} faults")
