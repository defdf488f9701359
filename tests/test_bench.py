"""The bench measures what it says it measures; how fast that is, no test decides."""

from __future__ import annotations

import re
import socket
import threading
from pathlib import Path

import pytest
from bench import fill, load, relay, scene, smtp, table
from bench.__main__ import Size, run

BAD = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 2\r\n\r\nno"


def test_every_row_is_measured_and_told_in_a_table():
    told = run(Size(rounds=1, seconds=0.3, emails=1000), shops=scene.SHOPS[:1], with_node=False)

    (filling,) = re.findall(r"fill \(HTML and text\) \| ([\d,]+) µs \| node.*\| left out \| –", told)
    ours, bare, ratio = re.search(
        r"`POST /v1/emails`, durable \| .*? ([\d,]+) µs CPU \|.*? ([\d,]+) µs CPU \| ([\d.]+)×", told
    ).groups()
    assert float(filling.replace(",", "")) > 0
    assert float(ratio) == pytest.approx(float(bare.replace(",", "")) / float(ours.replace(",", "")), abs=0.01)
    for stage in ("parse and validate", "look up", "decide", "fill HTML", "fill text", "encode", "record", "the whole"):
        assert re.search(rf"\| {stage}[^|]* \| -?[\d,]+ \|", told), stage  # a difference may be noise so short
    assert re.search(r"\| 1,000 \| \d+ \|", told)
    if reason := smtp.missing():
        assert f"not measured: {reason}" in told
    else:
        roads = re.findall(r"\| relay, (\w+) \| ([\d,]+) /s.*?\| ([\d,]+) /s.*?\| ([\d.]+)×", told)
        assert [road for road, *_ in roads] == ["passing", "enriching"]
        assert float(roads[0][1].replace(",", "")) > float(roads[1][1].replace(",", "")) > 0
        assert re.search(r"those [1-9]\d* passed as they came", told)


def test_the_peers_mail_is_the_same_mail_as_ours():
    mail = fill.the_mail()
    html, text = mail.fill()

    assert "slot(" not in mail.template
    assert "<mj-include" not in mail.template
    assert "{{ _(" not in mail.template
    for said in ("Rondane 2 tent", "What happens next", "Would you like to hear from us?", "$1,070.15"):
        assert said in html
        assert said in text


def test_different_mails_are_not_compared():
    with pytest.raises(RuntimeError, match="differ"):
        fill.same_words("<p>Total 10</p>", "<p>Total 11</p>")


def test_every_order_is_another_customers():
    first, second = scene.an_order(1), scene.an_order(2)

    assert first["order"]["id"] != second["order"]["id"]
    assert first["customer"]["email"] != second["customer"]["email"]
    assert first["customer"]["id"] != second["customer"]["id"]


def test_a_machine_without_postfix_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr(smtp, "SBIN", tmp_path)

    assert relay.measure(scene.State(tmp_path, ""), rounds=1, seconds=1) == "no Postfix"


def test_every_finished_mail_is_another_orders_and_has_no_bare_line_end_or_dot():
    first, second = relay.a_mail("orders"), relay.a_mail("news", relay.TABLES)

    assert first[1] != second[1]
    assert (first[0], second[0]) == ("orders@fjell-fjord.example", "news@fjell-fjord.example")
    for _, recipient, content in (first, second):
        assert f"<{recipient}>".encode() in content
        assert not re.search(rb"(?<!\r)\n|\n\.|[{}]", content)
        assert content.endswith(b"\r\n")


def test_the_load_stops_at_an_answer_that_is_not_200():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(BAD)

        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(RuntimeError, match="503"):
            load.run(server.getsockname()[1], lambda: b"GET / HTTP/1.1\r\n\r\n", connections=1, seconds=1)
        thread.join()


def test_the_tables_replace_only_what_stands_between_the_marks(tmp_path: Path):
    page = tmp_path / "performance.md"
    page.write_text(table.PAGE.read_text())
    table.write("| one |", page)
    table.write("| two |", page)

    before, _, rest = page.read_text().partition("<!-- measured: begin -->\n")
    between, _, after = rest.partition("<!-- measured: end -->\n")
    assert between.strip() == "| two |"
    assert table.PAGE.read_text().startswith(before)
    assert table.PAGE.read_text().endswith(after)
