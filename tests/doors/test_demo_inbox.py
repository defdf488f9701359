"""The demo's inbox over a real socket, with an API that answers what the test says."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from handraiser.doors.demo import Answered, Caught, Demo, Mailbox, Sample, Status, for_viewing, moved
from handraiser.doors.web import Front
from handraiser.telemetry import Metrics

FOLDER = Path(__file__).parents[2] / "templates" / "demo"
PAYLOAD = {
    "type": "order_confirmation",
    "customer": {"id": "7", "email": "alice@example.com", "country": "US"},
    "order": {"id": "1001", "currency": "USD", "lines": [], "total": "1", "shipping_address": {"country": "US"}},
}


def a_mail(n: int = 1, **rest: Any) -> Caught:
    given: dict[str, Any] = {
        "id": f"01990000-0000-7000-8000-{n:012x}",
        "kind": "email",
        "controller_id": "0a" * 16,
        "shop_id": "1a" * 16,
        "shop": "tents",
        "shop_name": "Tents",
        "sender": "Tents <hello@tents.example>",
        "to": "alice@example.com",
        "subject": f"Order {n} confirmed",
        "type": "order_confirmation",
        "at": 1_790_000_000_000 + n,
        "html": '<html><head><title>x</title></head><body><img src="https://pictures.tents.example/tent.svg"></body></html>',
        "text": "Thank you",
        "country": "US",
        "purpose": "tips",
        "ask_url": "http://tents.localhost/o/x",
        "payload": PAYLOAD,
    }
    return Caught(**(given | rest))


class FakeApi:
    """Answers every order with a message id, and remembers what was sent."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, bytes, str | None]] = []
        self.answer = Answered(200, {"message_id": "m", "html": "<p>", "warnings": []}, "m")
        self.state = "asked"
        self.pressed: list[str] = []

    async def send(self, shop: str, body: bytes, key: str | None) -> Answered:
        self.sent.append((shop, body, key))
        return self.answer

    async def press(self, url: str) -> None:
        self.pressed.append(url)

    async def statuses(self, mails: Any, entries: bool) -> list[Status]:
        return [Status(self.state, [{"event": self.state}] if entries else ()) for _ in mails]


@pytest.fixture
def mailbox(tmp_path: Path) -> Mailbox:
    box = Mailbox(tmp_path / "mails")
    box.load()
    return box


@pytest.fixture
def api() -> FakeApi:
    return FakeApi()


@pytest.fixture
async def client(aiohttp_client: Any, mailbox: Mailbox, api: FakeApi) -> Any:
    served = {name: (FOLDER / name).read_bytes() for name in ("index.html", "app.js", "app.css", "icon.svg")}
    served |= {f"pictures/{path.name}": path.read_bytes() for path in (FOLDER / "pictures").iterdir()}
    door = Demo(
        mailbox,
        files=served,
        samples=[Sample("us", "From the US", "tents", PAYLOAD)],
        shops={"tents": "Tents"},
        send=api.send,
        press=api.press,
        statuses=api.statuses,
    )
    app = web.Application(middlewares=[Front(Metrics()).middleware])
    app.add_routes(door.routes())
    return await aiohttp_client(app)


async def test_the_page_runs_only_its_own_script_and_has_none_inline(client):
    response = await client.get("/demo")

    assert response.status == 200
    assert "script-src 'self'" in response.headers["Content-Security-Policy"]
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    text = await response.text()
    assert "<style" not in text
    assert "style=" not in text
    assert " onclick" not in text
    assert text.count("<script") == 1


async def test_the_list_shows_the_newest_first_and_is_not_sent_twice(client, mailbox):
    mailbox.keep(a_mail(1))
    mailbox.keep(a_mail(2))

    first = await client.get("/demo/inbox")
    again = await client.get("/demo/inbox", headers={"If-None-Match": first.headers["ETag"]})

    assert [mail["subject"] for mail in (await first.json())["mails"]] == ["Order 2 confirmed", "Order 1 confirmed"]
    assert again.status == 304


async def test_the_status_of_a_mail_changes_after_the_press(client, mailbox, api):
    mailbox.keep(a_mail())
    before = await (await client.get(f"/demo/mails/{a_mail().id}")).json()

    api.state = "granted"
    after = await (await client.get(f"/demo/mails/{a_mail().id}")).json()

    assert (before["state"], after["state"]) == ("asked", "granted")
    assert after["entries"] == [{"event": "granted"}]


async def test_a_mail_is_shown_in_a_sandbox_and_its_links_open_beside_it(client, mailbox):
    mailbox.keep(a_mail())

    response = await client.get(f"/demo/mails/{a_mail().id}/html")

    assert response.headers["Content-Security-Policy"].startswith("sandbox allow-popups")
    assert "script" not in response.headers["Content-Security-Policy"]
    assert response.headers["X-Frame-Options"] == "SAMEORIGIN"
    text = await response.text()
    assert '<head><base target="_blank">' in text
    assert 'src="/demo/pictures/tent.svg"' in text
    assert (await client.get("/demo/pictures/tent.svg")).content_type == "image/svg+xml"


@pytest.mark.parametrize(
    "path", ["mails/x", "mails/01990000-0000-7000-8000-0000000000ff", "pictures/none.svg", "static/index.html"]
)
async def test_what_is_not_there_is_a_problem(client, path):
    response = await client.get(f"/demo/{path}")

    assert response.status == 404
    assert response.content_type == "application/problem+json"


async def test_another_country_sends_the_same_order_as_another_customer_once(client, mailbox, api):
    mailbox.keep(a_mail())
    wish = {"country": "NL", "soft_opt_in": True}

    for _ in range(2):
        response = await client.post(f"/demo/mails/{a_mail().id}/country", json=wish)

    assert response.status == 200
    assert (await response.json())["mail"] == "m"
    assert "html" not in (await response.json())["answer"]
    (shop, body, key), again = api.sent
    assert (shop, body, key) == again
    assert json.loads(body)["customer"] == {"id": "7+nl-soft", "email": "alice+nl-soft@example.com", "country": "NL"}


async def test_somebody_new_is_another_customer_each_time(client, mailbox, api):
    mailbox.keep(a_mail())

    for _ in range(2):
        await client.post(f"/demo/mails/{a_mail().id}/country", json={"country": "US", "fresh": True})

    assert len({body for _, body, _ in api.sent}) == 2


async def test_an_own_order_goes_to_the_api_as_it_was_typed(client, api):
    api.answer = Answered(400, {"title": "The request cannot be read", "errors": [{"pointer": "", "code": "not_json"}]})

    response = await client.post("/demo/orders", json={"shop": "tents", "order": "{ not json"})

    told = await response.json()
    assert api.sent == [("tents", b"{ not json", None)]
    assert (told["status"], told["mail"]) == (400, "")
    assert told["answer"]["errors"][0]["code"] == "not_json"


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Host": "evil.example", "Origin": "http://evil.example"},
    ],
)
async def test_only_the_own_page_may_send(client, api, headers):
    response = await client.post("/demo/orders", json={"shop": "tents", "order": "{}"}, headers=headers)

    assert response.status == 403
    assert api.sent == []


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        ("{}", "text/plain", 415),
        ("{", "application/json", 400),
        ("[]", "application/json", 400),
        ('{"shop": "other", "order": "{}"}', "application/json", 422),
        ('{"shop": "tents", "order": 1}', "application/json", 422),
        ('{"shop": ["tents"], "order": "{}"}', "application/json", 422),
    ],
)
async def test_a_wish_that_cannot_be_read_is_a_problem(client, api, body, kind, status):
    response = await client.post("/demo/orders", data=body, headers={"Content-Type": kind})

    assert response.status == status
    assert api.sent == []


async def test_a_script_presses_the_link_of_the_mail_and_of_no_other(client, mailbox, api):
    mailbox.keep(a_mail())
    mailbox.keep(a_mail(2, ask_url=""))

    pressed = await client.post(f"/demo/mails/{a_mail().id}/script", json={})
    nothing_to_press = await client.post(f"/demo/mails/{a_mail(2).id}/script", json={})
    another_site = await client.post(
        f"/demo/mails/{a_mail().id}/script", json={}, headers={"Origin": "https://evil.example"}
    )

    assert [pressed.status, nothing_to_press.status, another_site.status] == [200, 422, 403]
    assert api.pressed == [a_mail().ask_url]


async def test_a_confirmation_mail_cannot_be_sent_to_another_country(client, mailbox):
    mailbox.keep(a_mail(kind="confirmation", payload=None))

    response = await client.post(f"/demo/mails/{a_mail().id}/country", json={"country": "NL"})

    assert response.status == 422


def test_the_mailbox_keeps_the_newest_on_disk_and_lets_the_oldest_go(tmp_path):
    box = Mailbox(tmp_path, kept=3)
    box.load()
    for n in range(5):
        box.keep(a_mail(n))

    again = Mailbox(tmp_path, kept=3)
    again.load()

    assert [mail.at for mail in again.newest(9)] == [mail.at for mail in box.newest(9)]
    assert [a_mail(n).id for n in (4, 3, 2)] == [mail.id for mail in again.newest(9)]
    assert len(list(tmp_path.iterdir())) == 3


def test_a_mail_that_comes_again_keeps_its_place(tmp_path):
    box = Mailbox(tmp_path)
    box.load()
    box.keep(a_mail(1))
    box.keep(a_mail(2))

    box.keep(replace(a_mail(1), at=9_999_999_999_999, subject="Again"))

    assert [mail.subject for mail in box.newest(9)] == ["Order 2 confirmed", "Again"]
    assert len(list(tmp_path.iterdir())) == 2


def test_a_damaged_file_costs_its_mail_alone(tmp_path):
    box = Mailbox(tmp_path)
    box.load()
    box.keep(a_mail())
    (tmp_path / "000-x.json").write_text("{")
    (tmp_path / "001-y.json").write_text('{"unknown": 1}')

    box.load()

    assert [mail.id for mail in box.newest(9)] == [a_mail().id]


def test_only_pictures_of_invented_shops_are_replaced():
    html = '<head lang="en"><img src="https://cdn.shop.example/a.svg"><img src="https://pictures.shop.example/a.svg">'

    shown = for_viewing(html, "http://x/p/")

    assert shown == (
        '<head lang="en"><base target="_blank"><img src="https://cdn.shop.example/a.svg"><img src="http://x/p/a.svg">'
    )


def test_moving_changes_every_country_and_only_the_facts_asked_for():
    here = PAYLOAD | {"soft_opt_in": {"notice_at_collection": True, "similar_goods": True}}

    there = moved(moved(here, "NL", soft_opt_in=True), "DE", soft_opt_in=False)

    assert there["customer"] == {"id": "7+de", "email": "alice+de@example.com", "country": "DE"}
    assert there["order"]["id"] == "1001+de"
    assert there["order"]["number"] == "1001"
    assert there["order"]["shipping_address"]["country"] == "DE"
    assert "soft_opt_in" not in there
    assert here["customer"]["country"] == "US"
