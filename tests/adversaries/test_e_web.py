"""E: the web. Only our own page's form is an answer, and no page of ours helps another site."""

from __future__ import annotations

import re

import pytest

from siege import Siege

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec_Fetch_Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec_Fetch_Site": None, "Sec_Fetch_Mode": None, "Sec_Fetch_User": None, "Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": None, "Sec_Fetch_Site": "cross-site"},
        {"Origin": None, "Sec_Fetch_Site": "same-site"},
        {"Origin": None, "Sec_Fetch_Site": "none"},
    ],
    ids=["E1", "E2", "E3", "E7 cross-site", "E7 same-site", "E7 none"],
)
@pytest.mark.parametrize("action", ["yes", "no", "not_me"])
async def test_a_form_of_another_site_is_refused(siege: Siege, headers: dict[str, str | None], action: str):
    alice = await siege.ask()

    said = await siege.press(alice.link, action, **headers)

    assert said.status == 403
    assert await siege.events(alice) == []


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", "multipart/form-data; boundary=x"])
async def test_e4_only_a_form_is_read(siege: Siege, content_type: str):
    alice = await siege.ask()
    own = {"Origin": alice.link.split("/o/")[0], "Sec_Fetch_Site": "same-origin"}

    said = await siege.send("POST", alice.link, b'{"action":"yes"}', Content_Type=content_type, **own)

    assert said.status == 415
    assert await siege.events(alice) == []


async def test_e5_every_page_is_locked_down(siege: Siege):
    alice = await siege.ask()
    pages = [
        await siege.get(alice.link),
        await siege.press(alice.link),
        await siege.get(alice.link),
        await siege.get(alice.leave),
        await siege.send("POST", alice.leave, {"action": "leave"}),
        await siege.get(alice.link[:-1]),
    ]

    assert [page.status for page in pages] == [200, 200, 200, 200, 200, 404]
    for page in pages:
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "form-action 'self'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Frame-Options"] == "DENY"
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Referrer-Policy"] == "strict-origin"
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["X-Robots-Tag"] == "noindex, nofollow"
        assert "Set-Cookie" not in page.headers
        assert not re.search(r"(?i)\son\w+=|javascript:|<iframe|src=.https?:", page.body)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"action=yes&x=" + b"y" * 100_000, 413),
        (b"&".join(b"a%d=1" % n for n in range(100)), 400),
        (b"action=yes&action=yes", 400),
        (b"action=%FF", 400),
    ],
    ids=["E6", "a hundred fields", "a field twice", "no text"],
)
async def test_a_body_that_is_no_form_of_ours_is_refused(siege: Siege, body: bytes, status: int):
    alice = await siege.ask()
    own = {"Origin": alice.link.split("/o/")[0], "Sec_Fetch_Site": "same-origin"}

    said = await siege.send("POST", alice.link, body, Content_Type=FORM, **own)

    assert said.status == status
    assert await siege.events(alice) == []
