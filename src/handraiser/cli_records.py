"""The commands for what is kept of customers: ``consents`` and ``customers``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import click

from handraiser.cli_context import as_json, command, import_with_progress, run, settings_of
from handraiser.printing import print_value, print_verified


@click.group()
def consents() -> None:
    """The consent ledger."""


@consents.command("verify")
@click.option(
    "--head",
    type=click.Path(path_type=Path, exists=True, dir_okay=False, resolve_path=True),
    help="Kept heads to compare with (default: ledger-heads.log in the state folder).",
)
@as_json
@click.pass_context
def consents_verify(context: click.Context, head: Path | None, as_json: bool) -> None:
    """Prove that no entry was changed, removed or slipped in.

    Names the first broken entry; exit code 1 when there is one.
    """
    from handraiser.commands import verify

    with click.progressbar(length=1, label="entries", file=sys.stderr, hidden=not sys.stderr.isatty()) as bar:

        def moved(done: int, total: int) -> None:
            bar.length = max(total, done)
            bar.update(done - bar.pos)

        found = run(verify(settings_of(context), head, moved))
    if as_json:
        print_value(found, as_json=True)
    else:
        print_verified(found)
    if not found["ok"]:
        sys.exit(1)


@consents.command("rebuild")
@as_json
@click.pass_context
def consents_rebuild(context: click.Context, as_json: bool) -> None:
    """Make every customer's standing anew from the ledger."""
    done = command(context, "consents.rebuild")
    told = f"{done['customers']} customers, {done['changed']} standings changed"
    print_value(done if as_json else told, as_json=as_json)


@consents.command("import")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--shop", required=True, help="A shop of the company that answers for these consents.")
@click.option("--errors", type=click.Path(path_type=Path, dir_okay=False), help="Default: FILE.errors.ndjson.")
@as_json
@click.pass_context
def consents_import(context: click.Context, file: Path, shop: str, errors: Path | None, as_json: bool) -> None:
    """Import an existing database: CSV with a line of names, or NDJSON.

    Rows that cannot be used are left out and written to the errors file. A stopped import goes on where it was.
    """
    import_with_progress(context, "consents", file, shop, errors, as_json=as_json)


@consents.command("export")
@click.option("--shop", required=True, help="A shop of the company.")
@click.option("--format", "kind", type=click.Choice(["csv", "ndjson"]), default="csv", show_default=True)
@click.option("-o", "--out", type=click.File("w", encoding="utf-8"), default="-", help="Default: standard output.")
@click.pass_context
def consents_export(context: click.Context, shop: str, kind: Any, out: Any) -> None:
    """Write where every customer stands, as rows that can be imported again."""
    from handraiser.transfer import export

    run(export(settings_of(context), shop, out, kind))


@click.group()
def customers() -> None:
    """What a customer may demand: access and erasure."""


@customers.command("export")
@click.argument("customer")
@click.option("--shop", required=True, help="The shop whose customer it is.")
@click.pass_context
def customers_export(context: click.Context, customer: str, shop: str) -> None:
    """Everything held of a customer (an address or your own id), as JSON."""
    print_value(command(context, "customers.export", shop=shop, customer=customer), as_json=True)


@customers.command("erase")
@click.argument("customer")
@click.option("--shop", required=True, help="The shop whose customer it is.")
@click.confirmation_option(prompt="Erase everything held of this customer?")
@as_json
@click.pass_context
def customers_erase(context: click.Context, customer: str, shop: str, as_json: bool) -> None:
    """Erase a customer (an address or your own id); the ledger keeps a pseudonym."""
    print_value(command(context, "customers.erase", shop=shop, customer=customer), as_json=as_json)
