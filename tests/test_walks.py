"""The roads through the whole house, over real sockets, on both databases."""

from __future__ import annotations

import asyncio
import email
import email.policy
import hashlib
import json
import re
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handraiser.store import ledger_entries, policies, shops
from mailserver import Inbox, links_of
from programs import Programs
from running import BOATS, HIDDEN, TENTS, Running, an_order, running, settings_for, the_ask


@pytest.fixture
async def house(database_url: str, tmp_path: Path, compiled: Programs) -> AsyncIterator[Running]:
    async with running(settings_for(tmp_path, database_url), compiled) as opened:
        yield opened


async def test_an_order_becomes_an_enriched_email_and_a_press_becomes_a_consent(house: Running):
    answer = await house.email(an_order())
    assert "Tent" in answer["html"]
    assert "Tent" in answer["text"]
    assert {placed["slot"] for placed in answer["placements"]} == {"service", "ask"}
    link = the_ask(answer)
    assert link in answer["html"]
    assert link in answer["text"]

    status, page = await house.open(link)
    assert status == 200
    assert "not signed up" in page

    status, page = await house.press(link)
    assert status == 200

    status, known = await house.get("/v1/consents?customer_id=7")
    assert status == 200
    assert known["standing"] == {"offers": "granted"}
    (entry,) = [one for one in known["entries"] if one["event"] == "granted"]
    assert entry["message_id"] == answer["message_id"]
    (ask,) = [placed for placed in answer["placements"] if placed["slot"] == "ask"]
    assert entry["wording_id"] == ask["wording_id"]


async def test_what_was_pressed_is_sealed_and_proven_and_a_change_behind_the_services_back_is_found(house: Running):
    link = the_ask(await house.email(an_order()))
    _, page = await house.open(link)
    await house.submit(link, {**dict(HIDDEN.findall(page)), "action": "yes"})
    _, known = await house.get("/v1/consents?customer_id=7")
    granted = known["entries"][-1]
    served = re.sub(r'((?:name="(?:nonce|notice)" value|<style nonce)=")[^"]*', r"\1", page)
    assert hashlib.sha256(served.encode()).hexdigest() == granted["notice_id"], "the page as it was served"

    service = house.service
    (controller,) = [one for one in await shops.list_controllers(service.database) if one.slug == "tents-company"]
    kept = await ledger_entries.by_event_id(service.database, controller.id, uuid.UUID(granted["event_id"]).bytes)
    assert kept is not None
    rules = await policies.get(service.database, controller.id, kept.policy_snapshot_id or b"")
    assert rules is not None, "the rules of that moment, word for word"
    assert json.loads(rules.content)["code"] == "US"
    assert hashlib.sha256(rules.content.encode()).digest() == kept.policy_snapshot_id
    assert kept.privacy_policy_version == "2026-05"

    assert await service.jobs.seal() == 1
    found = await service.command("consents.verify", {"head": None})
    assert (found["ok"], found["broken"], found["notes"], found["heads_compared"]) == (True, [], [], 1)
    assert {one["company"]: one["sealed"] for one in found["companies"]} == {
        "tents-company": len(known["entries"]),
        "boats-company": 0,
    }
    assert (await service.command("consents.rebuild", {}))["changed"] == 0

    off = "DROP TRIGGER consent_entry_update"
    if service.database.dialect == "postgresql":
        off = "ALTER TABLE consent_entry DISABLE TRIGGER ALL"
    async with service.database.transaction() as tx:
        await tx.execute(off)
        await tx.execute("UPDATE consent_entry SET occurred_at = occurred_at - 1 WHERE event = 'granted'")
    found = await service.command("consents.verify", {"head": None})
    assert [(one["company"], one["event_id"], one["code"]) for one in found["broken"]] == [
        ("tents-company", granted["event_id"], "changed")
    ]


async def test_opening_a_link_a_hundred_times_leaves_no_entry(house: Running):
    link = the_ask(await house.email(an_order()))

    for n in range(100):
        status, _ = await house.open(link, "HEAD" if n % 2 else "GET")
        assert status == 200

    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["entries"] == []
    assert known["standing"] == {}


async def test_who_said_yes_is_not_asked_again_and_may_leave_with_one_press(house: Running):
    first = await house.email(an_order())
    await house.press(the_ask(first))

    second = await house.email(an_order(1002))
    assert {skip["reason"] for skip in second["skipped"] if skip["slot"] == "ask"} >= {"opted_in"}

    leave = first["headers"]["List-Unsubscribe"].strip("<>")
    status, _ = await house.submit(leave, {"List-Unsubscribe": "One-Click"}, **{"User-Agent": "Go-http-client/2.0"})
    assert status == 200
    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"]["offers"] == "withdrawn"
    third = await house.email(an_order(1003))
    assert "suppressed" in {skip["reason"] for skip in third["skipped"]}
    assert third["headers"] == {}


@pytest.mark.parametrize(
    ("shown", "action", "state", "why"),
    [("?no", "no", "refused", "refused"), ("/u/", "leave", "objected", "suppressed")],
)
async def test_the_mails_two_ways_to_say_no_are_one_press_each_and_not_the_same(
    house: Running, shown: str, action: str, state: str, why: str
):
    mail = await house.email(an_order())
    (link,) = {one for one in re.findall(r"http://\S+", mail["text"]) if shown in one}
    assert link in mail["html"]
    status, page = await house.open(link)
    assert status == 200
    assert re.search(r'class="main"[^>]*value="(\w+)"', page)[1] == action
    assert (await house.get("/v1/consents?customer_id=7"))[1]["entries"] == []

    await house.submit(link, {**dict(HIDDEN.findall(page)), "action": action}, **{"Sec-Fetch-User": ""})

    _, known = await house.get("/v1/consents?customer_id=7")
    assert [entry["event"] for entry in known["entries"]] == [state]
    later = await house.email(an_order(1002))
    assert why in {skip["reason"] for skip in later["skipped"]}


async def test_a_machine_that_presses_only_makes_it_pending(house: Running):
    link = the_ask(await house.email(an_order()))

    await house.press(link, **{"Sec-Fetch-User": ""})

    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"] == {"offers": "pending"}


async def test_from_a_doubtful_press_over_a_real_confirmation_mail_to_the_consent(
    database_url: str, tmp_path: Path, compiled: Programs
):
    hop = Inbox()
    async with hop.open(), running(settings_for(tmp_path, database_url, smtp_url=hop.url), compiled) as house:
        link = the_ask(await house.email(an_order(customer={"locale": "nl"})))
        status, page = await house.press(link, **{"Sec-Fetch-User": ""})
        assert status == 200
        assert "Nog één stap: kijk in uw inbox" in page

        mail = await hop.next()
        assert mail["To"] == "alice@example.com"
        confirm, decline, never = links_of(mail)
        for shown in (confirm, decline, never):
            assert (await house.open(shown))[0] == 200
        assert (await house.get("/v1/consents?customer_id=7"))[1]["standing"] == {"offers": "pending"}

        await asyncio.sleep(2.1)  # links of one mail opened within two seconds are a scanner's
        status, _ = await house.press(confirm)
        assert status == 200
        _, known = await house.get("/v1/consents?customer_id=7")
        assert known["standing"] == {"offers": "granted"}
        granted = next(one for one in known["entries"] if one["event"] == "granted")
        assert granted["touchpoint"] == "email:confirmation"
        message = mail["Message-ID"].strip("<>").partition("@")[0]
        assert granted["message_id"].replace("-", "") == message
        assert (await house.get(f"/v1/messages/{granted['message_id']}"))[1]["type"] == "confirmation"

        status, _ = await house.submit(never, {"List-Unsubscribe": "One-Click"}, **{"User-Agent": "Go-http-client/2.0"})
        assert status == 200
        assert (await house.get("/v1/consents?customer_id=7"))[1]["standing"] == {"offers": "withdrawn"}
        assert len(hop.mails) == 1


@pytest.mark.parametrize(
    ("says", "outcome", "reason"),
    [
        ("", "sent", ""),
        ("451 4.7.1 greylisted", "retrying", "451 4.7.1"),
        ("550 5.1.1 no such mailbox", "refused", "550 5.1.1"),
    ],
)
async def test_why_tells_what_became_of_the_confirmation_mail(
    database_url: str, tmp_path: Path, compiled: Programs, says: str, outcome: str, reason: str
):
    hop = Inbox(says_to=says)
    async with hop.open(), running(settings_for(tmp_path, database_url, smtp_url=hop.url), compiled) as house:
        mail = await house.email(an_order())
        await house.press(the_ask(mail), **{"Sec-Fetch-User": ""})

        async with asyncio.timeout(20):
            while True:
                _, why = await house.get(f"/v1/messages/{mail['message_id']}")
                (pressed,) = why["presses"]
                if pressed["confirmation"]["delivery"]["outcome"] != "waiting":
                    break
                await asyncio.sleep(0.1)

        told = pressed["confirmation"]["delivery"]
        assert (told["outcome"], told["reason"], told["attempts"]) == (outcome, reason, 1)
        assert (told["next_at"] is None, told["done_at"] is None) == (outcome != "retrying", outcome == "retrying")
        assert why["delivery"] is None, "the order's mail is sent by the shop"
        _, own = await house.get(f"/v1/messages/{pressed['confirmation']['message_id']}")
        assert (own["type"], own["delivery"]) == ("confirmation", told)


async def test_the_consent_of_one_company_never_shows_in_anothers(house: Running):
    await house.press(the_ask(await house.email(an_order())))

    charlies = await house.email(an_order(customer={"id": "7"}), shop="boats")

    assert "ask" in {placed["slot"] for placed in charlies["placements"]}
    _, known = await house.get("/v1/consents?customer_id=7", shop="boats")
    assert known["standing"] == {}
    assert known["entries"] == []
    message = charlies["message_id"]
    assert (await house.get(f"/v1/messages/{message}", shop="tents"))[0] == 404
    assert (await house.get(f"/v1/messages/{message}", shop="boats"))[0] == 200


async def test_a_link_is_nothing_on_another_shops_host(house: Running):
    link = the_ask(await house.email(an_order()))
    elsewhere = link.replace("tents.localhost", "boats.localhost")

    status, page = await house.open(elsewhere)
    unknown = await house.open(elsewhere[:-4] + "AAAA")

    assert status == 404
    assert (status, page) == unknown


async def test_three_guests_are_three_customers(house: Running):
    for n, name in enumerate(("alice", "bob", "dora")):
        guest = {"id": 0, "email": f"{name}@example.com"}
        answer = await house.email(an_order(2000 + n, customer=guest))
        assert "ask" in {placed["slot"] for placed in answer["placements"]}

    await house.press(
        the_ask(
            await house.email(an_order(2010, type="delivered", customer={"id": "guest", "email": "eve@example.com"}))
        )
    )
    for name, standing in (("alice", {}), ("eve", {"tips": "granted"})):
        _, known = await house.post("/v1/consents/search", {"email": f"{name}@example.com"})
        assert known["standing"] == standing
        assert known["customer_ids"] == []


async def test_a_guest_who_registers_keeps_caps_and_standing(house: Running):
    await house.press(the_ask(await house.email(an_order(customer={"id": None}))))

    answer = await house.email(an_order(1002, customer={"id": "4711"}))

    assert "opted_in" in {skip["reason"] for skip in answer["skipped"]}
    _, known = await house.get("/v1/consents?customer_id=4711")
    assert known["standing"] == {"offers": "granted"}


async def test_the_same_key_and_body_give_the_same_message_and_another_body_is_refused(house: Running):
    first = await house.email(an_order(), Idempotency_Key="k-1")
    again = await house.email(an_order(), Idempotency_Key="k-1")
    status, problem = await house.post("/v1/emails", an_order(1002), Idempotency_Key="k-1")

    assert again == first
    assert status == 422
    assert problem["errors"][0]["code"] == "idempotency_mismatch"


async def test_ten_at_once_with_one_key_give_one_message(house: Running):
    answers = await asyncio.gather(*(house.email(an_order(), Idempotency_Key="k-10") for _ in range(10)))

    assert len({answer["message_id"] for answer in answers}) == 1
    assert len({answer["html"] for answer in answers}) == 1
    _, listed = await house.get("/v1/messages?order_id=1001")
    assert len(listed["messages"]) == 1


async def test_a_test_key_is_strict_and_its_press_is_no_consent(house: Running):
    house.keys["tents"] = await house.service.govern.add_key("tents", ["emails", "consents"], test=True)
    status, problem = await house.post("/v1/emails", {**an_order(), "odd": 1})
    assert status == 422
    assert problem["errors"][0]["pointer"] == "/odd"

    link = the_ask(await house.email(an_order()))
    await house.press(link)

    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"] == {}
    assert known["entries"] == []


async def test_nothing_is_kept_of_a_dry_run(house: Running):
    answer = await house.post("/v1/emails?dry_run=true", an_order())

    assert answer[0] == 200
    assert answer[1]["message_id"] is None
    assert "Tent" in answer[1]["html"]
    assert (await house.get("/v1/messages?order_id=1001"))[1] == {"messages": []}


async def test_the_whole_mail_holds_every_link_and_one_recipient(house: Running):
    order = an_order(
        customer={"first_name": "=?utf-8?b?YUBldmlsLm9yZywg?=", "last_name": "Ali\r\nBcc: eve@example.com"}
    )
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Accept": "message/rfc822"}
    async with house.session.post(house.url + "/v1/emails", json=order, headers=headers) as answer:
        assert answer.status == 200
        assert answer.content_type == "message/rfc822"
        raw = await answer.read()

    mail = email.message_from_bytes(raw, policy=email.policy.default)
    assert [address.addr_spec for address in mail["To"].addresses] == ["alice@example.com"]
    assert mail["Bcc"] is None
    leave = mail["List-Unsubscribe"].strip("<>")
    assert f"<{leave}>".encode() in raw
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mail.get_body(("html",)) is not None
    assert "Tent" in mail.get_body(("plain",)).get_content()


async def test_why_tells_each_slots_reason_and_remedy(house: Running):
    answer = await house.email(an_order(customer={"country": "DE"}))
    link = the_ask(await house.email(an_order(1002, customer={"id": "8", "email": "bob@example.com"})))
    await house.open(link)
    await house.press(link)

    status, why = await house.get(f"/v1/messages/{answer['message_id']}")
    assert status == 200
    assert why["market"] == "DE"
    assert all(
        skip["reason"] == "market" and skip["remedy"]
        for skip in why["skipped"]
        if skip["slot"] == "ask" and skip["reason"] != "touchpoint"
    )
    _, found = await house.post("/v1/messages/search", {"email": "bob@example.com"})
    (bobs,) = found["messages"]
    assert [press["event"] for press in bobs["presses"]] == ["granted"]
    assert {visit["method"] for visit in bobs["visits"]} >= {"GET"}
    assert (await house.service.command("why", {"message_id": bobs["message_id"]})) == bobs


async def test_the_blocks_alone_come_for_a_shops_own_template(house: Running):
    status, answer = await house.post("/v1/emails/blocks", an_order())

    assert status == 200
    assert set(answer["slots"]) == {"service", "ask"}
    assert the_ask(answer) in answer["slots"]["ask"]["html"]
    assert the_ask(answer) in answer["slots"]["ask"]["text"]
    assert "html" not in answer


async def test_what_the_shop_knows_as_unsubscribed_is_kept_as_an_objection(house: Running):
    said_no = {"marketing": {"offers": {"state": "unsubscribed"}}}
    answer = await house.email(an_order(customer=said_no))
    assert "suppressed" in {skip["reason"] for skip in answer["skipped"]}

    later = await house.email(an_order(1002))

    assert "ask" not in {placed["slot"] for placed in later["placements"]}
    _, known = await house.get("/v1/consents?customer_id=7")
    assert known["standing"] == {"offers": "objected"}
    assert [entry["event"] for entry in known["entries"]] == ["objected"]


async def test_a_shop_that_observes_sends_unchanged_mail_and_counts_whom_it_would_have_asked(house: Running):
    await house.service.govern.set_mode("tents", "observe")
    await house.service.publish.refresh()
    await asyncio.sleep(0)
    house.service.keys.forget()

    answer = await house.email(an_order())

    assert answer["placements"] == []
    assert answer["headers"] == {}
    _, why = await house.get(f"/v1/messages/{answer['message_id']}")
    assert why["would_ask"] is True


async def test_a_batch_answers_line_by_line_and_a_bad_line_fails_alone(house: Running):
    import json

    lines = [json.dumps(an_order(n, customer={"id": str(n), "email": f"c{n}@example.com"})) for n in range(40)]
    lines.insert(3, "{not json")
    lines.insert(9, json.dumps({"type": "order_confirmation"}))
    headers = {"Authorization": f"Bearer {house.keys['tents']}", "Content-Type": "application/x-ndjson"}
    async with house.session.post(
        house.url + "/v1/emails/batch", data="\n".join(lines).encode(), headers=headers
    ) as answer:
        assert answer.status == 200
        told = [json.loads(line) for line in (await answer.text()).splitlines()]

    assert len(told) == 42
    assert told[3]["status"] == 400
    assert {fault["pointer"] for fault in told[9]["errors"]} >= {"/customer", "/order"}
    assert all("html" in line for n, line in enumerate(told) if n not in (3, 9))


async def test_a_country_that_counsel_opened_for_a_shop_is_asked_and_the_ledger_knows_by_whose_word(
    database_url: str, tmp_path: Path, compiled: Programs
):
    opened = """
[[market_overrides]]
countries = ["DE"]
approved_by = "Dr. Jane Roe, counsel"
approved_on = 2026-11-20
signed_off = true
confirm = "attested_press"
"""
    german = an_order(customer={"country": "DE"}, billing_address={"city": "Kiel", "country": "DE"}) | {
        "soft_opt_in": {"notice_at_collection": True, "similar_goods": True}
    }
    async with running(settings_for(tmp_path, database_url), compiled, shops=[TENTS + opened, BOATS]) as house:
        ours, theirs = await house.email(german), await house.email(german, shop="boats")
        assert "market" in [skip["reason"] for skip in theirs["skipped"]]
        assert "You can object to such messages at any time, free of charge." in ours["html"]

        await house.press(the_ask(ours))

        _, message = await house.get(f"/v1/messages/{ours['message_id']}")
        _, known = await house.get("/v1/consents?customer_id=7")
        shop = await house.service.govern.shop("tents")
        (override,) = shop.market_overrides
        assert override.approved_by == "Dr. Jane Roe, counsel"
        assert message["rule_version"].endswith(f"+{override.mark}")
        (entry,) = [one for one in known["entries"] if one["event"] == "granted"]
        assert entry["rule_version"] == message["rule_version"]
