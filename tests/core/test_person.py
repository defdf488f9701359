"""The verdict on visits and presses: what shows a person, what shows a machine, and what shows neither."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handraiser.core.person import GATE_MS, Evidence, Lately, judge

CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
SAFARI = "Mozilla/5.0 (Macintosh) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.0 Safari/605.1.15"
IN_MAIL = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
)
CUBOT = "Mozilla/5.0 (Linux; Android 13; CUBOT X70) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile Safari/537.36"
FETCHED = {"sec-fetch-mode": "navigate", "sec-fetch-site": "same-origin"}


def seen(
    method: str = "POST",
    agent: str = CHROME,
    *,
    trusted: bool = False,
    age: int = 2 * GATE_MS,
    more: dict | None = None,
    **headers: str,
):
    shown = {"user-agent": agent, "accept-language": "en"} | {k.replace("_", "-"): v for k, v in headers.items()}
    return judge(Evidence(method, shown, https=True, age_ms=age, trusted_event=trusted, **(more or {})))


@pytest.mark.parametrize("agent", [CHROME, FIREFOX, CUBOT])
@pytest.mark.parametrize("trusted", [True, False])
def test_a_press_that_the_browser_calls_a_users_is_a_persons(agent, trusted):
    found = seen(agent=agent, trusted=trusted, sec_fetch_user="?1", **FETCHED)

    assert found.attested
    assert found.verdict == "human"
    assert found.attestation == ("trusted_event" if trusted else "sec_fetch_user")


def test_safari_shows_a_person_by_the_trusted_event_alone():
    assert seen(agent=SAFARI, trusted=True, **FETCHED).attested
    assert not seen(agent=SAFARI, **FETCHED).attested


@pytest.mark.parametrize("agent", [CHROME, CHROME.replace("Chrome/", "HeadlessChrome/"), FIREFOX])
def test_a_script_that_clicks_is_no_person(agent):
    for trusted in (True, False):
        found = seen(agent=agent, trusted=trusted, **FETCHED)
        assert not found.attested
        assert "press_without_user" in found.reasons


def test_a_chromium_that_claims_to_be_safari_is_not_believed():
    found = seen(agent=SAFARI, sec_fetch_user="?1", **FETCHED)

    assert not found.attested
    assert "not_the_browser_it_claims" in found.reasons


@pytest.mark.parametrize(
    ("agent", "doubted"),
    [(SAFARI, True), (SAFARI.replace("18.0", "16.4"), True), (SAFARI.replace("18.0", "16.3"), False), (IN_MAIL, False)],
    ids=["18.0", "16.4", "16.3", "in a mail app"],
)
def test_safari_is_expected_to_send_fetch_metadata_since_16_4(agent, doubted):
    assert ("no_fetch_metadata" in seen("GET", agent).reasons) is doubted


def test_a_mail_apps_own_browser_shows_a_person_by_the_trusted_event():
    assert seen(agent=IN_MAIL, trusted=True, **FETCHED).attested
    assert not seen(agent=IN_MAIL, **FETCHED).confirms


def test_what_runs_no_script_cannot_have_seen_a_trusted_event():
    assert not seen(agent="Wapiti/3.2", trusted=True).attested


SCRIPTLESS = FETCHED | {"sec-fetch-dest": "document"}


def test_safari_without_scripts_is_enough_for_a_confirmation_and_for_nothing_else():
    found = seen(agent=SAFARI, **SCRIPTLESS)

    assert (found.attestation, found.verdict, found.attested) == ("fetch_metadata", "suspect", False)
    assert found.confirms


@pytest.mark.parametrize(
    "given_away",
    [
        {"more": {"script_ran": True}},
        {"sec_ch_ua": '"Chromium"'},
        {"sec_fetch_user": "?1"},
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_dest": "empty"},
        {"agent": CHROME},
        {"sec_purpose": "prefetch"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_program_in_safaris_clothes_confirms_nothing(given_away):
    headers = {name.replace("-", "_"): value for name, value in SCRIPTLESS.items()}

    assert not seen(**({"agent": SAFARI} | headers | given_away)).confirms


def test_the_honeypot_is_certain_unless_a_browser_read_it_ahead():
    assert seen("GET", more={"honeypot": True}, **FETCHED).reasons == ("honeypot",)
    ahead = seen("GET", more={"honeypot": True}, sec_purpose="prefetch", **FETCHED)
    assert (ahead.verdict, ahead.reasons) == ("bot", ("prefetch",))


def test_a_press_after_the_honeypot_was_touched_is_a_bots():
    found = seen(trusted=True, sec_fetch_user="?1", more={"lately": Lately(honeypot=True)}, **FETCHED)

    assert (found.verdict, found.attested, found.confirms) == ("bot", False, False)


def test_a_burst_is_a_doubt_that_an_attested_press_outweighs():
    burst = {"lately": Lately(other_links=1)}

    assert seen("GET", more=burst, **FETCHED).verdict == "suspect"
    pressed = seen(trusted=True, sec_fetch_user="?1", more=burst, **FETCHED)
    assert (pressed.verdict, pressed.reasons, pressed.attested) == ("human", ("burst",), True)


def test_presses_from_three_networks_only_make_it_pending():
    two, three = ({"lately": Lately(networks=n)} for n in (2, 3))

    assert seen(trusted=True, sec_fetch_user="?1", more=two, **FETCHED).attested
    found = seen(trusted=True, sec_fetch_user="?1", more=three, **FETCHED)
    assert not found.attested
    assert found.reasons == ("many_networks",)


def test_a_data_centre_is_a_doubt_only():
    assert seen("GET", more={"hosting": True}, **FETCHED).reasons == ("hosting_network",)
    assert seen(trusted=True, sec_fetch_user="?1", more={"hosting": True}, **FETCHED).attested


def test_a_press_that_nothing_attests_is_suspect():
    found = seen(agent="Mozilla/5.0 (compatible)")

    assert (found.verdict, found.reasons) == ("suspect", ("not_attested",))


def test_a_press_without_scripts_and_without_fetch_metadata_shows_nobody():
    assert not seen(agent="Wapiti").attested


SCANNERS = """
Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)
Mozilla/5.0 (compatible; Wapiti/3.2; security audit)
Googlebot/2.1
Mozilla/5.0 (compatible; bingbot/2.0)
WhatsApp/2.23
facebookexternalhit/1.1
curl/8
Go-http-client/1.1
Barracuda Sentinel
BingPreview/1.0b
"""


@pytest.mark.parametrize("agent", SCANNERS.strip().splitlines())
def test_a_scanner_that_says_so_is_a_bot_whatever_it_presses(agent):
    found = seen(agent=agent, trusted=True, sec_fetch_user="?1")

    assert found.verdict == "bot"
    assert not found.attested


@pytest.mark.parametrize("name", ["sec_purpose", "purpose", "x_moz", "x_purpose"])
def test_a_prefetch_is_a_bot(name):
    assert seen("GET", **{name: "prefetch;prerender"}).verdict == "bot"


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS"])
def test_other_methods_are_bots(method):
    assert seen(method).verdict == "bot"


def test_a_visit_soon_after_sending_is_suspect_and_a_later_one_is_not():
    assert seen("GET", age=GATE_MS - 1, **FETCHED).reasons == ("soon_after_sending",)
    assert seen("GET", age=GATE_MS, **FETCHED).verdict == "human"


def test_missing_headers_are_doubts_not_proofs():
    found = judge(Evidence("GET", {}, https=True, age_ms=2 * GATE_MS))

    assert (found.verdict, found.reasons) == ("suspect", ("no_agent", "no_language"))
    assert "no_fetch_metadata" in seen("GET").reasons


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=50), max_size=6), st.booleans(), st.booleans())
def test_opening_a_link_is_never_an_attested_press(headers, https, trusted):
    for method in ("GET", "HEAD"):
        assert not judge(Evidence(method, headers, https, 0, trusted)).attested
