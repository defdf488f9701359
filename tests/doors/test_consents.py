"""What other systems tell of consents is kept once, never against the customer, and can be proven."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from choices import DAY
from handraiser.app import clock
from programs import Programs
from running import BOATS, TENTS, Running, an_order, running, settings_for, the_ask

ALICE = "alice@example.com"
GRANT = {"email": ALICE, "purpose": "offers", "event": "granted"}


@pytest.fixture
async def house(tmp_path: Path, database_url: str, compiled: Programs) -> AsyncIterator[Running]:
    sibling = TENTS.replace('slug = "tents"', 'slug = "boats"', 1).replace("Tents & Co", "Hammocks")
    async with running(settings_for(tmp_path, database_url), compiled, [TENTS, sibling]) as one:
        yield one


async def tell(house: Running, shop: str = "tents", key: str = "", **given: Any) -> dict[str, Any]:
    """The answer to a record about Alice, which must be taken."""
    headers = {"Idempotency_Key": key} if key else {}
    status, answer = await house.post("/v1/consents", {**GRANT, **given}, shop=shop, **headers)
    assert status == 200, answer
    told: dict[str, Any] = answer
    return told


async def stands(house: Running, email: str = ALICE) -> dict[str, Any]:
    status, answer = await house.post("/v1/consents/search", {"email": email})
    assert status == 200, answer
    told: dict[str, Any] = answer
    return told


async def purposes(house: Running) -> list[str]:
    return [one["id"] for one in (await house.get("/v1/purposes"))[1]["purposes"]]


async def test_a_grant_from_elsewhere_is_kept_with_its_text_and_its_evidence(house: Running):
    told = await tell(
        house, customer_id="42", occurred_at="2026-01-02T03:04:05Z", wording="Yes!", language="nl", source="form 7"
    )
    assert (told["state"], told["applied"], told["reason"]) == ("granted", True, "")

    status, answer = await house.get("/v1/consents?customer_id=42")
    assert status == 200
    assert answer["standing"] == {"offers": "granted"}
    assert answer["entries"][0]["occurred_at"] == 1767323045000
    status, page = await house.open(answer["preferences_url"])
    assert (status, "Your email settings" in page, ALICE in page) == (200, True, False)

    status, proof = await house.get(f"/v1/consents/{told['event_id']}")
    assert status == 200
    assert proof["entry"]["event"] == "granted"
    assert proof["wording"] == {"language": "nl", "content": {"text": "Yes!", "language": "nl"}}
    assert proof["evidence"] == {"source": "form 7"}


async def test_the_same_record_is_the_same_entry_with_a_time_a_key_or_neither(house: Running):
    timed = [await tell(house, occurred_at="2026-01-02T03:04:05Z") for _ in range(3)]
    assert len({one["event_id"] for one in timed}) == 1
    keyed = [await tell(house, key="k1", email="bob@example.com") for _ in range(2)]
    assert len({one["event_id"] for one in keyed}) == 1
    plain = [await tell(house, email="carol@example.com", event="withdrawn") for _ in range(2)]
    assert len({one["event_id"] for one in plain}) == 1
    assert [len((await stands(house, who))["entries"]) for who in (ALICE, "bob@example.com", "carol@example.com")] == [
        1,
        1,
        1,
    ]
    status, answer = await house.post("/v1/consents", GRANT, Idempotency_Key="k1")
    assert (status, answer["errors"][0]["code"]) == (422, "idempotency_mismatch")


async def test_older_never_overwrites_newer_and_a_grant_never_ends_a_withdrawal(house: Running):
    now = clock()
    await tell(house, occurred_at=now - 2 * DAY)
    assert (await tell(house, event="withdrawn", occurred_at=now - 3 * DAY))["reason"] == "older"
    assert (await stands(house))["standing"] == {"offers": "granted"}
    assert (await tell(house, event="withdrawn", occurred_at=now - DAY))["applied"] is True
    late = await tell(house, occurred_at=now)
    assert (late["applied"], late["reason"], late["state"]) == (False, "left", "withdrawn")
    held = await stands(house)
    assert held["standing"] == {"offers": "withdrawn"}
    assert [entry["event"] for entry in held["entries"]] == ["granted", "imported", "withdrawn", "imported"]


async def test_an_objection_holds_for_every_shop_of_the_company(house: Running):
    before = await house.email(an_order(1), shop="boats")
    assert the_ask(before)
    await tell(house, event="objected", purpose="*")

    for shop in ("tents", "boats"):
        answer = await house.email(an_order(2), shop=shop)
        assert "suppressed" in {skip["reason"] for skip in answer["skipped"]}
        assert not [placed for placed in answer["placements"] if placed.get("url")]
    assert (await tell(house, shop="boats"))["reason"] == "left"


async def test_a_press_after_a_record_finds_the_customer_on_the_list(house: Running):
    answer = await house.email(an_order(1))
    link = the_ask(answer)
    (purpose,) = [placed["purpose"] for placed in answer["placements"] if placed.get("purpose")]
    await tell(house, purpose=purpose)

    status, page = await house.press(link)

    assert status == 200
    assert [entry["event"] for entry in (await stands(house))["entries"]] == ["granted"]
    assert "already" in page.lower()


async def test_leaving_everything_ends_every_purpose_of_that_channel(house: Running):
    names = await purposes(house)
    for name in names:
        await tell(house, purpose=name)
    await tell(house, channel="sms")
    assert (await tell(house, event="withdrawn", purpose="*"))["applied"] is True
    held = await stands(house)
    assert held["standing"] == dict.fromkeys(names, "withdrawn")
    assert held["channels"] == {"sms": {"offers": "granted"}}
    assert (await tell(house, event="withdrawn", purpose="*"))["applied"] is False


async def test_a_record_names_a_customer_whom_mail_has_named_before(house: Running):
    await house.email(an_order(1))
    status, answer = await house.post("/v1/consents", {"customer_id": "7", "purpose": "offers", "event": "refused"})
    assert (status, answer["state"]) == (200, "refused")
    assert (await stands(house))["standing"] == {"offers": "refused"}
    status, _ = await house.post("/v1/consents", {"customer_id": "8", "purpose": "offers", "event": "refused"})
    assert status == 404


async def test_what_cannot_be_used_is_refused_by_name(house: Running):
    status, answer = await house.post("/v1/consents", {"email": "x", "event": "yes"})
    assert status == 422
    assert [fault["pointer"] for fault in answer["errors"]] == ["/email", "/event", "/purpose"]
    assert (await house.post("/v1/consents", b"{"))[0] == 400
    assert (await house.post("/v1/consents", []))[0] == 400


async def test_a_test_key_and_a_key_without_the_scope_keep_nothing(house: Running):
    house.keys["test"] = await house.service.govern.add_key("tents", ["consents"], test=True)
    told = await tell(house, shop="test")
    assert (told["event_id"], told["applied"], told["reason"]) == (None, False, "test")
    assert (await house.post("/v1/consents/search", {"email": ALICE}))[0] == 404
    house.keys["mail"] = await house.service.govern.add_key("tents", ["emails"])
    assert (await house.post("/v1/consents", GRANT, shop="mail"))[0] == 403


async def test_a_consent_has_receipts_in_both_formats(house: Running):
    await house.press(the_ask(await house.email(an_order(1))))
    (entry,) = (await stands(house))["entries"]

    status, kantara = await house.get(f"/v1/consents/{entry['event_id']}/receipt")
    assert (status, kantara["consentReceiptID"]) == (200, entry["event_id"])
    status, dpv = await house.get(f"/v1/consents/{entry['event_id']}/receipt?format=dpv")
    assert (status, dpv["dpv:hasRecord"]["dct:identifier"]) == (200, entry["event_id"])
    leave = dpv["dpv:hasRecord"]["dpv:hasProcess"]["dpv:hasConsentControl"]["schema:url"]
    assert (await house.open(leave))[0] == 200
    assert ALICE not in str(kantara) + str(dpv)

    assert (await house.get(f"/v1/consents/{entry['event_id']}/receipt?format=pdf"))[0] == 422
    left = await tell(house, purpose=entry["purpose"], event="withdrawn")
    status, answer = await house.get(f"/v1/consents/{left['event_id']}/receipt")
    assert (status, answer["errors"][0]["code"]) == (422, "not_given")


async def test_another_companys_entry_is_not_found(tmp_path: Path, compiled: Programs):
    url = f"sqlite:///{tmp_path / 'h.db'}"
    async with running(settings_for(tmp_path, url), compiled, [TENTS, BOATS]) as house:
        told = await tell(house)
        for path in (told["event_id"], f"{told['event_id']}/receipt", "no-id"):
            assert (await house.get(f"/v1/consents/{path}", shop="boats"))[0] == 404


async def test_a_promise_that_changes_is_a_new_version_and_what_was_agreed_keeps_its_words(house: Running):
    (old,) = [one for one in (await house.get("/v1/purposes"))[1]["purposes"] if one["id"] == "offers"]
    body = {name: value for name, value in old.items() if name != "version"}
    assert (await house.post("/v1/purposes", body))[1] == old
    body["texts"]["en"]["frequency"] = "twice a year"
    status, new = await house.post("/v1/purposes", body)
    assert (status, new["version"]) == (200, old["version"] + 1)
    assert new in (await house.get("/v1/purposes"))[1]["purposes"]
    assert (await house.post("/v1/purposes", {"id": "A b", "texts": {"en": {"what": "a\0"}}}))[0] == 422
