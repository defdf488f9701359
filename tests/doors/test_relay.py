"""The relay before a hop that does as it is told: the client always hears what became of its mail."""

from __future__ import annotations

import asyncio

import pytest

import mails
from handraiser.doors.relay import HEADROOM
from running import free_port
from smtp_talk import CLOSE, SILENT, ScriptedHop, outcomes, relaying, talking

ALICE, BOB = "alice@example.com", "bob@example.com"
MAIL = b"From: orders@tents.example\r\nTo: alice@example.com\r\nSubject: Order 1001\r\n\r\nThank you.\r\n"
RECEIVED = b"Received: from shop.example ([127.0.0.1])\r\n\tby relay.example with ESMTP id "


def without_received(content: bytes) -> bytes:
    """The mail below the one line that the relay put on top."""
    assert content.startswith(RECEIVED), content[:200]
    return content.split(b"\r\n", 3)[3]


def as_sent(raw: bytes) -> bytes:
    """A mail as SMTP carries it: lines end with CRLF, the last one too."""
    lines = raw.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    return lines if lines.endswith(b"\r\n") else lines + b"\r\n"


# --- what goes through -----------------------------------------------------------------------------------------------


async def test_every_mail_that_no_rule_matches_arrives_byte_for_byte_below_one_received_line():
    made = [*{as_sent(one.raw) for one in mails.every_mail()}, b"\r\n", b"", b".\r\n", b"..\r\n.x\r\n\r\n.\r\n"]
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        for raw in made:
            assert (await client.send(raw, ALICE)).startswith("250 2.0.0 queued")

    assert len(made) > 200
    assert [without_received(one.content) for one in hop.delivered] == made
    assert {one.mail for one in hop.delivered} == {"FROM:<orders@tents.example>"}


async def test_a_line_of_any_length_and_the_largest_mail_pass_and_a_larger_one_is_refused():
    long = MAIL + b"x" * 3_000_000 + b"\r\n"
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, mail_bytes=len(long)) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(long, ALICE)).startswith("250")
        assert (await client.send(long + b"\r\n" * 40_000, ALICE)).startswith("552 5.3.4")
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert [len(without_received(one.content)) for one in hop.delivered] == [len(long), len(MAIL)]


async def test_the_null_sender_and_addresses_arrive_as_they_were_written():
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        assert (await client.send(MAIL, '"a b"@example.com', "odd..dots.@example.com", sender="")).startswith("250")

    (one,) = hop.delivered
    assert one.mail == "FROM:<>"
    assert one.recipients == ['<"a b"@example.com>', "<odd..dots.@example.com>"]
    assert outcomes(relay) == {("passed", "null_sender"): 1}


async def test_international_addresses_pass_where_the_hop_takes_them():
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        said = [
            await client.say("MAIL FROM:<böb@bücher.example> SMTPUTF8 BODY=8BITMIME"),
            await client.say("RCPT TO:<ålice@example.com>"),
        ]
        assert [one[:3] for one in said] == ["250", "250"]
        assert (await client.data(MAIL)).startswith("250")

    (one,) = hop.delivered
    assert one.mail == "FROM:<böb@bücher.example> SMTPUTF8 BODY=8BITMIME"
    assert one.recipients == ["<ålice@example.com>"]
    assert b"with UTF8SMTP id" in one.content


async def test_what_the_hop_offers_is_offered_with_room_for_the_mail_to_grow():
    async with (
        ScriptedHop(offers=("SIZE 1000000",)).open() as hop,
        relaying(hop) as relay,
        talking(relay.port) as client,
    ):
        said = (await client.say("EHLO x")).split("\n")
        assert set(said[1:]) == {
            "250-PIPELINING",
            "250-ENHANCEDSTATUSCODES",
            f"250-SIZE {1_000_000 - HEADROOM}",
            "250 HELP",
        }
        assert (await client.say("MAIL FROM:<a@tents.example> SIZE=900000")).startswith("552")
        assert (await client.say("MAIL FROM:<a@tents.example> SIZE=700000 BODY=8BITMIME")).startswith("250")

    assert "MAIL FROM:<a@tents.example>" in hop.heard, "the size is ours to say, and 8BITMIME was not offered"


async def test_commands_may_come_in_one_piece_and_each_answer_has_its_enhanced_code():
    async with (
        ScriptedHop(says={"RCPT TO:<bob": "550 no such user"}).open() as hop,
        relaying(hop) as relay,
        talking(relay.port) as client,
    ):
        said = [await client.say(f"MAIL FROM:<a@tents.example>\r\nRCPT TO:<{BOB}>\r\nRCPT TO:<{ALICE}>\r\nDATA")]
        said += [await client.answer() for _ in range(3)]
        assert said == [
            "250 2.0.0 OK",
            "550 5.0.0 no such user",
            "250 2.0.0 OK",
            "354 End data with <CR><LF>.<CR><LF>",
        ]
        both = await client.say(MAIL + b".\r\nMAIL FROM:<a@tents.example>\r\n")
        assert (both, await client.answer()) == ("250 2.0.0 queued", "250 2.0.0 OK")
        assert await client.say("NONSENSE") == '500 5.5.2 Error: command "NONSENSE" not recognized'
        assert await client.say("N\0N\rSENSE") == '500 5.5.2 Error: command "N?N?SENSE" not recognized'


async def test_a_log_in_that_is_named_at_mail_is_no_concern_of_the_hop():
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        assert (await client.say("MAIL FROM:<a@tents.example> AUTH=<> BODY=7BIT")).startswith("250")

    assert "MAIL FROM:<a@tents.example> BODY=7BIT" in hop.heard


async def test_whoever_hangs_up_while_its_mail_is_given_up_takes_no_connection_along():
    hop = ScriptedHop(says={"RSET": [SILENT]})
    async with hop.open(), relaying(hop, relay_connections=1) as relay:
        async with talking(relay.port) as client:
            await client.begin(ALICE)
            client.writer.write(b"RSET\r\n")
            while "RSET" not in hop.heard:  # noqa: ASYNC110 - the hop tells by its list alone
                await asyncio.sleep(0.01)
            client.writer.transport.abort()
        async with talking(relay.port) as client:
            assert (await client.send(MAIL, ALICE)).startswith("250")


# --- what the hop does not want --------------------------------------------------------------------------------------


async def test_the_hops_answers_come_through_for_each_command_and_recipient():
    says: dict[str, str | list[str]] = {
        "RCPT TO:<bob": "550-5.1.1 no such user\r\n550 5.1.1 really",
        "RCPT TO:<charlie": "451 4.7.1 greylisted",
        "MAIL FROM:<bad": "553 5.1.8 not you",
    }
    async with ScriptedHop(says=says).open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        assert await client.begin(sender="bad@tents.example") == ["553 5.1.8 not you"]
        assert (await client.say(f"RCPT TO:<{ALICE}>")).startswith("503 5.5.1")
        assert await client.begin(BOB, ALICE, "charlie@example.com") == [
            "250 2.0.0 OK",
            "550-5.1.1 no such user\n550 5.1.1 really",
            "250 2.0.0 OK",
            "451 4.7.1 greylisted",
        ]
        assert (await client.data(MAIL)).startswith("250")
        await client.begin(BOB)
        assert (await client.say("DATA")).startswith("554 5.5.1 no valid recipients")

    assert [one.recipients for one in hop.delivered] == [[f"<{ALICE}>"]]


@pytest.mark.parametrize(
    ("says", "answer"),
    [
        ({"DATA": "554 5.7.1 no"}, "554 5.7.1 no"),
        ({"DATA": "421 4.3.2 going down"}, "421 4.3.2 going down"),
        ({"DATA": "250 what?"}, "451 4.4.2"),
        ({"DATA": CLOSE}, "451 4.4.2"),
        ({".": "452 4.2.2 full"}, "452 4.2.2 full"),
        ({".": "554 5.6.0 spam"}, "554 5.6.0 spam"),
        ({".": CLOSE}, "451 4.4.2"),
        ({".": SILENT}, "451 4.4.2"),
        ({".": "what?"}, "451 4.4.2"),
    ],
)
async def test_a_mail_that_the_hop_does_not_take_is_not_taken(says: dict[str, str | list[str]], answer: str):
    async with (
        ScriptedHop(says=says).open() as hop,
        relaying(hop, relay_data_seconds=0.3) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.send(MAIL, ALICE)).startswith(answer)
        says.clear()
        assert (await client.send(MAIL, ALICE)).startswith("250"), "the next one goes through"

    assert len(hop.delivered) == 1
    assert sum(outcomes(relay).values()) == 2


@pytest.mark.parametrize("answer", ["421 4.3.2 going down", CLOSE, SILENT])
async def test_a_hop_that_goes_away_between_recipients_costs_the_mail_and_never_half_of_it(answer: str):
    hop = ScriptedHop(says={"RCPT TO:<bob": answer})
    async with hop.open(), relaying(hop, relay_hop_seconds=0.3) as relay, talking(relay.port) as client:
        said = await client.begin(ALICE, BOB, "charlie@example.com")
        assert said[1].startswith("250")
        assert said[2][:3] in ("421", "451")
        assert said[3].startswith("451 4.4.2")
        assert (await client.say("DATA")).startswith("451 4.4.2")
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert [one.recipients for one in hop.delivered] == [[f"<{ALICE}>"]]


async def test_a_hop_that_is_down_is_451_at_mail_and_used_again_when_it_is_back():
    port = free_port()
    async with relaying(port) as relay, talking(relay.port) as client:
        assert await client.say("MAIL FROM:<a@tents.example>") == "451 4.4.1 the next hop is away, try again"
        async with ScriptedHop().open(port) as hop:
            assert (await client.send(MAIL, ALICE)).startswith("250")

    assert len(hop.delivered) == 1


@pytest.mark.parametrize("greeting", ["554 5.7.1 not you", "421 4.3.2 busy", CLOSE, SILENT])
async def test_a_hop_that_does_not_want_us_is_our_fault_and_not_the_mails(greeting: str):
    async with (
        ScriptedHop(says={"CONNECT": greeting}).open() as hop,
        relaying(hop, relay_hop_seconds=0.3) as relay,
        talking(relay.port) as client,
    ):
        assert (await client.say("MAIL FROM:<a@tents.example>")).startswith("451 4.4.1")


@pytest.mark.parametrize("ending", [CLOSE, "421 4.4.2 idle for too long"])
async def test_a_kept_connection_is_used_again_and_replaced_when_the_hop_has_closed_it(ending: str):
    says: dict[str, str | list[str]] = {}
    async with ScriptedHop(says=says).open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        for _ in range(5):
            assert (await client.send(MAIL, ALICE)).startswith("250")
        assert hop.connections == 1
        says["MAIL"] = [ending]
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert (hop.connections, len(hop.delivered)) == (2, 6)


async def test_only_so_many_connections_are_made_and_who_finds_none_is_put_off():
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_connections=1, relay_hop_seconds=0.2) as relay,
        talking(relay.port) as first,
        talking(relay.port) as second,
    ):
        assert (await first.begin(ALICE))[0].startswith("250")
        assert (await second.say("MAIL FROM:<a@tents.example>")).startswith("451 4.4.1")
        assert (await first.say("RSET")).startswith("250")
        assert (await second.send(MAIL, BOB)).startswith("250")


# --- what clients do -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end", [b"\n.\n", b"\n.\r\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\r\n.\n", b"x\n.\r\n"], ids=repr
)
async def test_an_end_of_data_that_others_might_see_is_refused(end: bytes):
    smuggled = MAIL + b"x" + end + b"MAIL FROM:<evil@tents.example>\r\nRCPT TO:<bob@example.com>\r\nDATA\r\nevil\r\n"
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        await client.begin(ALICE)
        await client.say("DATA")
        assert (await client.say(smuggled + b"\r\n.\r\n")).startswith("554 5.6.0")
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert [without_received(one.content) for one in hop.delivered] == [MAIL]


async def test_a_mail_with_bare_line_ends_gets_those_of_smtp_and_is_counted():
    bare = MAIL.replace(b"Thank you.\r\n", b"one\ntwo\rthree\n.css { }\r\n")
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        assert (await client.send(bare, ALICE)).startswith("250")

    assert without_received(hop.delivered[0].content) == as_sent(bare)


async def test_a_mail_that_goes_round_in_circles_is_refused():
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        assert (await client.send(b"Received: from a\r\n" * 50 + MAIL, ALICE)).startswith("554 5.4.6")
        assert (await client.send(b"Received: from a\r\n" * 49 + MAIL, ALICE)).startswith("250")

    assert outcomes(relay) == {("refused", "loop"): 1, ("passed", "no_rule"): 1}


async def test_a_client_that_is_killed_in_the_middle_of_its_mail_has_sent_nothing():
    async with ScriptedHop().open() as hop, relaying(hop) as relay:
        async with talking(relay.port) as client:
            await client.begin(ALICE)
            await client.say("DATA")
            client.writer.write(MAIL)
            await client.writer.drain()
            client.writer.transport.abort()
        async with talking(relay.port) as client:
            assert (await client.send(MAIL, BOB)).startswith("250")

    assert [one.recipients for one in hop.delivered] == [[f"<{BOB}>"]]


async def test_a_client_that_leaves_while_the_hop_decides_does_not_stop_its_mail():
    async with ScriptedHop(says={".": SILENT}).open() as hop, relaying(hop, relay_data_seconds=0.3) as relay:
        async with talking(relay.port) as client:
            await client.begin(ALICE)
            await client.say("DATA")
            client.writer.write(MAIL + b".\r\n")
            await hop.at_data.wait()
            client.writer.transport.abort()
        await asyncio.gather(*relay.deliveries)

    assert outcomes(relay) == {("put_off", "no_rule"): 1}


async def test_commands_out_of_turn_are_told_so_and_change_nothing():
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port, greet=False) as client:
        await client.answer()
        for line, answer in (
            ("MAIL FROM:<a@tents.example>", "503 5.5.1"),
            ("HELO shop", "250 relay.example"),
            ("DATA", "503 5.5.1"),
            ("RCPT TO:<alice@example.com>", "503 5.5.1"),
            ("MAIL FROM:alice@example.com", "553 5.1.3"),
            ("MAIL FROM:<a\x07b@example.com>", "553 5.1.3"),
            ("MAIL FROM:<a@tents.example> SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a@tents.example>", "250 2.0.0"),
            ("MAIL FROM:<b@tents.example>", "503 5.5.1"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("DATA", "554 5.5.1"),
            ("RCPT TO:<alice@example.com>", "250 2.0.0"),
            ("DATA now", "501 5.5.4"),
            ("AUTH PLAIN AGEAYg==", "500 5.5.2"),
            ("EHLO shop.example", "250-relay.example"),
            ("DATA", "503 5.5.1"),
            ("EXPN staff", "502 5.5.1"),
            ("STARTTLS", "454 4.0.0"),
            ("QUIT", "221 2.0.0"),
        ):
            assert (await client.say(line)).startswith(answer), line
        assert await client.ended()
    assert hop.delivered == []


async def test_a_fault_of_ours_is_451_and_the_session_goes_on(monkeypatch: pytest.MonkeyPatch):
    async with ScriptedHop().open() as hop, relaying(hop) as relay, talking(relay.port) as client:
        await client.begin(ALICE)
        with monkeypatch.context() as broken:
            broken.setattr(relay, "received", lambda *_args, **_kwargs: 1 / 0)
            assert await client.data(MAIL) == "451 4.3.0 trouble here, try again"
        assert (await client.send(MAIL, ALICE)).startswith("250")

    assert len(hop.delivered) == 1


async def test_a_session_waits_longer_than_any_answer_may_take():
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_data_seconds=240, relay_hop_seconds=30) as relay,
        talking(relay.port),
    ):
        (session,) = relay.sessions
        assert session._timeout_duration > 240 + 2 * 30


# --- who may come ----------------------------------------------------------------------------------------------------


async def test_only_listed_peers_get_in():
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_peers="10.0.0.0/8") as relay,
        talking(relay.port, greet=False) as client,
    ):
        assert (await client.answer()).startswith("554 5.7.1")
        assert await client.ended()
    assert hop.connections == 0


async def test_only_so_many_sessions_are_held():
    async with (
        ScriptedHop().open() as hop,
        relaying(hop, relay_sessions=1) as relay,
        talking(relay.port),
        talking(relay.port, greet=False) as second,
    ):
        assert (await second.answer()).startswith("421 4.3.2")


async def test_closing_says_goodbye_to_who_waits_and_finishes_what_is_under_way():
    async with (
        ScriptedHop().open() as hop,
        relaying(hop) as relay,
        talking(relay.port) as idle,
        talking(relay.port) as busy,
    ):
        await busy.begin(ALICE)
        await busy.say("DATA")
        port = relay.port
        closing = asyncio.create_task(relay.close(5))
        assert (await idle.answer()).startswith("421 4.3.2")
        assert (await busy.say(MAIL + b".\r\n")).startswith("250")
        await closing
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)

    assert len(hop.delivered) == 1
