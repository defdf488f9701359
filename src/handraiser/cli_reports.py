"""The commands for figures and for what they are counted from: ``report``, ``orders`` and ``tallies``."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from handraiser.cli_context import as_json, command, import_with_progress
from handraiser.printing import print_value

_SPAN = (
    click.option("--shop", required=True, help="The shop's slug."),
    click.option("--from", "first", default="", help="The first day (UTC) of first asks, such as 2026-05-01."),
    click.option("--to", "last", default="", help="The last day."),
    as_json,
    click.pass_context,
)


def _spanned(told: Callable[..., None]) -> Callable[..., None]:
    for option in reversed(_SPAN):
        told = option(told)
    return told


@click.group()
def report() -> None:
    """What was asked, answered and bought, until this moment."""


@report.command("opt-in-rate")
@click.option(
    "--by",
    default="",
    help="customer_kind, touchpoint, purchase_type, segment, block or country[,month][,customer_kind].",
)
@_spanned
def report_opt_in_rate(context: click.Context, by: str, shop: str, first: str, last: str, as_json: bool) -> None:
    """How many of those asked, eligible and seen opted in."""
    told = command(context, "report.opt_in_rate", **{"shop": shop, "by": by, "from": first, "to": last})
    if as_json:
        print_value(told, as_json=True)
        return
    columns = ("customers_seen", "customers_eligible", "customers_asked", "asks", "opt_ins")
    rows = [
        {name: one.get(name, "all") for name in (*told["by"], *columns)}
        | {
            "rate": _share(one["opt_in_rate"]),
            "95 %": f"{_share(one['opt_in_rate_low'])} to {_share(one['opt_in_rate_high'])}",
            "after 30 days": _still(one, 30),
            "after 90 days": _still(one, 90),
        }
        for one in (*(told["rows"] if told["by"] else ()), told["total"])
    ]
    print_value(rows, as_json=False)


@report.command("baseline")
@_spanned
def report_baseline(context: click.Context, shop: str, first: str, last: str, as_json: bool) -> None:
    """What was before the first ask: consents, purchases, opt-ins."""
    told = command(context, "report.baseline", **{"shop": shop, "from": first, "to": last})
    shown = {"first_ask_on": told["first_ask_on"], **told["customers"], **told["purchases"]}
    print_value(told if as_json else shown, as_json=as_json)


@report.command("lifetime-value")
@_spanned
def report_lifetime_value(context: click.Context, shop: str, first: str, last: str, as_json: bool) -> None:
    """Orders and revenue per customer since the first ask or exposure."""
    told = command(context, "report.lifetime_value", **{"shop": shop, "from": first, "to": last})
    if as_json:
        print_value(told, as_json=True)
        return
    rows = [
        {"experiment": "(opted in or not)", **one, "more": "", "from": "", "to": ""} for one in told["opted_in"]["arms"]
    ]
    for experiment in told["experiments"]:
        more = {one["arm"]: one for one in experiment["differences"]}
        for one in experiment["arms"]:
            found = more.get(one["arm"], {})
            ends = {"more": found.get("revenue_per_customer_more"), "from": found.get("low"), "to": found.get("high")}
            rows.append({"experiment": experiment["key"], **one, **ends})
    print_value(rows, as_json=False)
    left_out = told["currencies_left_out"]
    click.echo(f"in {told['currency'] or 'no currency yet'}; " + told["opted_in"]["note"])
    if left_out:
        click.echo(f"left out, because the shop has no rate for them: {', '.join(left_out)}", err=True)


def _share(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _still(row: dict[str, Any], days: int) -> str:
    return f"{row[f'still_opted_in_{days}']} of {row[f'opt_ins_{days}_days_old']}"


@click.group()
def orders() -> None:
    """Orders that sent no mail through us."""


@orders.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--shop", required=True, help="The shop that sold them.")
@click.option("--errors", type=click.Path(path_type=Path, dir_okay=False), help="Default: FILE.errors.ndjson.")
@as_json
@click.pass_context
def orders_import(context: click.Context, file: Path, shop: str, errors: Path | None, as_json: bool) -> None:
    """Import the history of orders: NDJSON, an order a line as POST /v1/orders takes it.

    An order that names no kind is historical. Rows that cannot be used are left out and written to the errors file. A
    stopped import goes on where it was.
    """
    import_with_progress(context, "orders", file, shop, errors, as_json=as_json)


@click.group()
def tallies() -> None:
    """What experiments and customers are counted with."""


@tallies.command("verify")
@as_json
@click.pass_context
def tallies_verify(context: click.Context, as_json: bool) -> None:
    """Count all exposures and customers again and compare; exit code 1 where the tallies differ."""
    found = command(context, "tallies.verify")
    print_value(found, as_json=as_json)
    if not found["ok"]:
        sys.exit(1)


@tallies.command("rebuild")
@as_json
@click.pass_context
def tallies_rebuild(context: click.Context, as_json: bool) -> None:
    """Make all tallies anew from the raw rows."""
    print_value(command(context, "tallies.rebuild"), as_json=as_json)
