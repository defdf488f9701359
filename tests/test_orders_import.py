"""The history of orders comes in from a file: each once, a bad row alone, resumed where it stopped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from command_line import SHOP
from handraiser.cli import cli
from handraiser.commands import run_command
from handraiser.errors import HandraiserError
from handraiser.settings import Settings, load
from handraiser.transfer import import_file
from import_check import environment

ROWS = 1_200


def an_order(n: int) -> str:
    """A line; each 400th has no customer, the last is told twice, amounts are written as numbers."""
    order = f'{{"id": "{n}", "currency": "EUR", "total": 19.99, "placed_at": "2025-0{n % 9 + 1}-03"}}'
    customer = "{}" if n % 400 == 399 else f'{{"email": "customer{n % 500}@example.com"}}'
    return f'{{"customer": {customer}, "order": {order}}}\n'


@pytest.fixture
async def settings(tmp_path: Path) -> Settings:
    loaded = load(environment(tmp_path))
    await run_command(loaded, "shops.add", {"source": SHOP})
    (tmp_path / "orders.ndjson").write_text("".join(map(an_order, range(ROWS - 1))) + an_order(0))
    return loaded


async def bring_in(settings: Settings, folder: Path, moved: Any) -> dict[str, Any]:
    return await import_file(settings, folder / "orders.ndjson", "my-shop", folder / "faults", moved, "orders")


async def test_an_import_that_stopped_goes_on_and_keeps_every_order_once(settings: Settings, tmp_path: Path):
    class Stopped(Exception):
        pass

    def stop(_done: int) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        await bring_in(settings, tmp_path, stop)
    places: list[int] = []
    told = await bring_in(settings, tmp_path, places.append)

    assert told == {"rows_done": ROWS, "applied": ROWS - 3, "unchanged": 1, "blank": 0, "refused": 2}
    assert places == sorted(places)
    assert places[-1] == (tmp_path / "orders.ndjson").stat().st_size
    faults = [json.loads(line) for line in (tmp_path / "faults").read_text().splitlines()]
    assert [one["row"] for one in faults] == [400, 800]
    assert faults[0]["errors"][0]["pointer"] == "/customer/email"

    baseline = await run_command(settings, "report.baseline", {"shop": "my-shop", "from": "2025-01-01", "to": ""})
    assert baseline["purchases"]["purchases"] == ROWS - 3
    assert baseline["customers"]["known"] == 500
    assert await bring_in(settings, tmp_path, lambda _done: None) == told, "once done it changes nothing"


async def test_a_line_that_no_service_could_be_told_fails_alone(settings: Settings, tmp_path: Path):
    with (tmp_path / "orders.ndjson").open("w") as file:
        file.write(
            '{"customer": {"email": "a@example.com"}, "order": {"id": "\\ud800", "currency": "EUR", "total": 1}}\n'
        )
        file.write('{"customer": {"email": "a@example.com"}, "order": {"id": 99999999999999999999, "currency": "EUR",')
        file.write(' "total": 1.10}, "kind": "live"}\n[]\n')
    told = await bring_in(settings, tmp_path, lambda _done: None)
    assert (told["applied"], told["refused"]) == (1, 2)

    with pytest.raises(HandraiserError, match="no shop"):
        await import_file(settings, tmp_path / "orders.ndjson", "other", tmp_path / "faults", print, "orders")


def test_the_command_shows_how_far_it_is_and_reports_come_as_tables(tmp_path: Path):
    def told(*arguments: str) -> str:
        result = CliRunner().invoke(cli, arguments, env=environment(tmp_path), catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return result.stdout

    (tmp_path / "shop.toml").write_text(SHOP)
    (tmp_path / "orders.ndjson").write_text("".join(map(an_order, range(10))))
    told("shops", "add", str(tmp_path / "shop.toml"))
    taken = told("orders", "import", str(tmp_path / "orders.ndjson"), "--shop", "my-shop", "--json")
    assert json.loads(taken)["applied"] == 10

    table = told("report", "opt-in-rate", "--shop", "my-shop", "--by", "country,month")
    assert table.split()[:3] == ["country", "month", "customers_seen"]
    assert "known                       10" in told("report", "baseline", "--shop", "my-shop")
    assert "not what the opt-in causes" in told("report", "lifetime-value", "--shop", "my-shop")
    assert json.loads(told("tallies", "verify", "--json"))["customers"] == 10
