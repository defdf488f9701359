"""Every command, thin: it reads the settings, opens the service (or asks the one that runs) and prints."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from handraiser import __version__
from handraiser.cli_context import as_json, command, run, settings_of
from handraiser.cli_records import consents, customers
from handraiser.cli_reports import orders, report, tallies
from handraiser.errors import HandraiserError, SettingsRefused
from handraiser.printing import print_copied, print_value
from handraiser.telemetry import log_to


def main() -> None:
    """Run the command line; errors of ours and of the system are one clear line each, exit code 1."""
    try:
        cli.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(130)
    except SettingsRefused as error:
        for fault in error.faults:
            click.echo(f"settings: {fault.pointer or 'settings'}: {fault.detail}", err=True)
        sys.exit(1)
    except HandraiserError as error:
        click.echo(f"handraiser: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:
        # Whoever read the output has seen enough; Python's own flush at exit would complain once more.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        click.echo(f"handraiser: {where}{error.strerror or error}", err=True)
        sys.exit(1)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="handraiser")
@click.option(
    "--config", type=click.Path(path_type=Path, dir_okay=False), help="Settings file (default: handraiser.toml)."
)
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Service messages and signed one-click opt-in links in transactional emails."""
    context.obj = config


for group in (consents, customers, orders, report, tallies):
    cli.add_command(group)


@cli.command()
@click.option("--workers", type=click.IntRange(1), default=1, show_default=True, help="Processes (PostgreSQL only).")
@click.option("--relay", is_flag=True, help="Open the SMTP relay too (relay_listen, relay_next_hop).")
@click.option(
    "--worker", type=click.Path(path_type=Path), hidden=True, help="What --workers starts its processes with."
)
@click.pass_context
def serve(context: click.Context, workers: int, relay: bool, worker: Path | None) -> None:
    """Serve until SIGTERM, then drain.

    Readiness goes down first, then what is at work is finished.
    """
    from handraiser.serving import serve as serve_app

    settings = settings_of(context)
    if workers > 1 and settings.database.startswith("sqlite"):
        raise click.ClickException(
            "SQLite carries one process; set HANDRAISER_DATABASE_URL=postgresql://… for more workers."
        )
    log_to(settings.log_level)
    if workers > 1:
        from handraiser.supervise import Supervisor

        config = context.find_root().obj
        command = [*(("--config", str(config)) if config else ()), "serve", *(("--relay",) if relay else ())]
        run(Supervisor(command, workers).run())
    else:
        run(serve_app(settings, relay=relay, worker=worker))


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON line when ready.")
@click.option("--listen", help="host:port, default 127.0.0.1:8025.")
@click.option("--state-dir", type=click.Path(path_type=Path, file_okay=False), help="What the demo keeps.")
@click.pass_context
def demo(context: click.Context, as_json: bool, listen: str | None, state_dir: Path | None) -> None:
    """Start two demo shops and an inbox to look at."""
    from handraiser.demo import run_demo

    settings = settings_of(context, listen=listen, state_dir=state_dir)
    log_to(settings.log_level)
    run(run_demo(settings, as_json=as_json))


@cli.command()
@click.argument("payload", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="Folder to write to."
)
@click.option(
    "--shop", default="fjell-fjord", show_default=True, help="Folder below templates/shops whose brand to use."
)
@click.pass_context
def render(context: click.Context, payload: Path, out: Path, shop: str) -> None:
    """Render an order payload to HTML and text.

    Needs no server and no database, and keeps nothing.
    """
    from handraiser.commands import render_file

    for line in run(render_file(settings_of(context), payload, out, shop)):
        click.echo(line)


@cli.command()
@click.pass_context
def check(context: click.Context) -> None:
    """Find all faults at once.

    In settings, templates, blocks, rules, markets and the database's schema; nothing is changed.
    """
    from handraiser.commands import check as check_all

    faults = run(check_all(settings_of(context)))
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.ClickException(f"{len(faults)} fault{'s' if len(faults) > 1 else ''}")
    click.echo("all good")


@cli.command()
@click.pass_context
def migrate(context: click.Context) -> None:
    """Bring the database's schema up to date."""
    from handraiser.commands import migrate as migrate_database

    applied = run(migrate_database(settings_of(context)))
    click.echo(f"applied: {', '.join(str(number) for number in applied)}" if applied else "already up to date")


@cli.command("copy-to")
@click.argument("url")
@as_json
@click.pass_context
def copy_to(context: click.Context, url: str, as_json: bool) -> None:
    """Copy the embedded database into PostgreSQL.

    Beside a running service as often as you like, and once more when it has stopped: that copy is compared with the
    original and its ledger proven.
    """
    from handraiser.commands import copy_to as copy_database

    with click.progressbar(
        length=1, label="tables", file=sys.stderr, hidden=not sys.stderr.isatty(), item_show_func=lambda at: at or ""
    ) as bar:

        def moved(done: int, total: int, at: str) -> None:
            bar.length = total
            bar.update(done - bar.pos, at)

        told = run(copy_database(settings_of(context), url, moved))
    if as_json:
        print_value(told, as_json=True)
    else:
        print_copied(told)


@cli.command()
@click.argument("message_id")
@as_json
@click.pass_context
def why(context: click.Context, message_id: str, as_json: bool) -> None:
    """Tell why an email looks as it does.

    Each slot's decision with its reason and remedy, and what was pressed.
    """
    print_value(command(context, "why", message_id=message_id), as_json=as_json)


@cli.group()
def shops() -> None:
    """Companies and their shops."""


@shops.command("add")
@click.argument("file", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@as_json
@click.pass_context
def shops_add(context: click.Context, file: Path, as_json: bool) -> None:
    """Add (or change) a shop described in a TOML file, with its company."""
    print_value(command(context, "shops.add", source=_source(file)), as_json=as_json)


def _source(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise click.ClickException(f"{file} is not UTF-8 text") from None


@shops.command("list")
@as_json
@click.pass_context
def shops_list(context: click.Context, as_json: bool) -> None:
    """List all shops."""
    print_value(command(context, "shops.list"), as_json=as_json)


@shops.command("show")
@click.argument("slug")
@as_json
@click.pass_context
def shops_show(context: click.Context, slug: str, as_json: bool) -> None:
    """Show one shop's settings."""
    print_value(command(context, "shops.show", slug=slug), as_json=as_json)


@shops.command("status")
@click.argument("slug", default="")
@as_json
@click.pass_context
def shops_status(context: click.Context, slug: str, as_json: bool) -> None:
    """Show how a shop is doing, or all of them."""
    told = command(context, "shops.status", slug=slug)
    if as_json:
        print_value(told, as_json=True)
        return
    for one in told:
        print_value(one | one.pop("newest"), as_json=False)
        click.echo()


@shops.command("mode")
@click.argument("slug")
@click.argument("mode", type=click.Choice(["off", "observe", "on"]))
@click.pass_context
def shops_mode(context: click.Context, slug: str, mode: str) -> None:
    """Switch a shop: off, observe (decide and count, insert nothing) or on."""
    print_value(command(context, "shops.mode", slug=slug, mode=mode), as_json=False)


@shops.command("link-secret")
@click.argument("slug")
@click.option("--rotate", is_flag=True, help="Make a new one; the last one stays good until the next time.")
@as_json
@click.pass_context
def shops_link_secret(context: click.Context, slug: str, rotate: bool, as_json: bool) -> None:
    """Show what the shop's own mail template signs links with."""
    told = command(context, "shops.link_secret", slug=slug, rotate=rotate)
    print_value(told if as_json else told["secret"], as_json=as_json)


@cli.group()
def keys() -> None:
    """API keys."""


@keys.command("add")
@click.option("--shop", "slug", required=True, help="The shop's slug.")
@click.option("--scope", "scopes", multiple=True, default=("emails",), show_default=True, help="May be repeated.")
@click.option("--test", is_flag=True, help="A strict key that never counts and never creates a consent.")
@click.option("--name", default="", help="What the key is for.")
@as_json
@click.pass_context
def keys_add(context: click.Context, slug: str, scopes: tuple[str, ...], test: bool, name: str, as_json: bool) -> None:
    """Make a key; it is shown once."""
    made = command(context, "keys.add", slug=slug, scopes=list(scopes), test=test, name=name)
    print_value(made if as_json else made["key"], as_json=as_json)


@keys.command("list")
@as_json
@click.pass_context
def keys_list(context: click.Context, as_json: bool) -> None:
    """List keys, without their secrets."""
    print_value(command(context, "keys.list"), as_json=as_json)


@keys.command("revoke")
@click.argument("key_id")
@click.pass_context
def keys_revoke(context: click.Context, key_id: str) -> None:
    """Revoke a key; it stops working within five seconds."""
    print_value(command(context, "keys.revoke", key_id=key_id), as_json=False)


@cli.group()
def relay() -> None:
    """The SMTP relay."""


@relay.command("test")
@click.argument("mail", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--shop", help="Only the rules of this shop.")
@click.option("--from", "sender", help="The envelope's sender (default: Return-Path, else From).")
@as_json
@click.pass_context
def relay_test(context: click.Context, mail: Path, shop: str | None, sender: str | None, as_json: bool) -> None:
    """Show the whole decision about a mail: its rule, what is read out, what would be placed where, or why not.

    Records and sends nothing.
    """
    from handraiser.commands import relay_test as test_mail

    print_value(run(test_mail(settings_of(context), mail, shop, sender)), as_json=as_json)
