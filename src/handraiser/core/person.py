"""Human or machine: evidence of one visit in, verdict and reasons out.

A verdict never blocks a person: an attested press grants, everything doubtful waits for a confirmation mail. Nothing
here is asked before a withdrawal. Times in ms. What each signal is worth: docs/decisions/0010-person-or-machine.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

from handraiser.core.links import MAILED, LinkKind

Verdict = Literal["human", "suspect", "bot"]
Attestation = Literal["trusted_event", "sec_fetch_user", "fetch_metadata", "none"]

ATTESTED = frozenset({"trusted_event", "sec_fetch_user"})
"""What shows a person's press wherever it is made."""

GATE_MS = 300_000
"""Scanners look at a mail when it arrives: a visit before this age is doubted."""
BURST_MS = 2_000
"""Two different links of one message within this time are opened by a program."""
SETTLE_MS = 120_000
"""How long a grant that nobody pressed is provisional."""
NETWORKS = 3
"""A message whose link was pressed from so many networks was handed on."""

_PREFETCH = ("sec-purpose", "purpose", "x-moz", "x-purpose")
# Word-bounded: phones of the make "CUBOT" end in "bot" and are no bots.
_SCANNER = re.compile(
    r"\b(\w*(?<!\bcu)bot|crawler|spider|bingpreview|facebookexternalhit|whatsapp|skypeuripreview|barracuda|proofpoint|"
    r"mimecast|safelinks|curl|wget|python-requests|go-http-client|okhttp|java|urlscan|virustotal|wapiti)\b",
    re.IGNORECASE,
)
_CHROMIUM = re.compile(r"\b(?:Chrome|HeadlessChrome|Chromium|Edg)/(\d+)")
_FIREFOX = re.compile(r"\bFirefox/(\d+)")
_SAFARI = re.compile(r"\bVersion/(\d+)(?:\.(\d+))?.* Safari/")
_FETCHED_BY_SAFARI = (16, 4)
"""The first Safari that sends fetch metadata; it never sends ``Sec-Fetch-User`` (WebKit 247697)."""


@dataclass(frozen=True, slots=True)
class Lately:
    """What the click log holds about the message of a visit: whether its honeypot was touched, how many other links of
    it were opened within :data:`BURST_MS`, and from how many networks it was pressed, this visit's among them."""

    honeypot: bool = False
    other_links: int = 0
    networks: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one request shows. ``headers`` by lower-case name; ``age_ms`` since the message was sent.

    ``trusted_event`` says that the page's script saw a press which the browser called trusted, ``script_ran`` that it
    ran at all. ``honeypot`` is a visit of the link that no person sees; ``hosting`` one from a network of the
    operator's list of data centres. ``automatic`` is an answer that the page sent without being pressed.
    """

    method: str
    headers: Mapping[str, str]
    https: bool = False
    age_ms: int = 0
    trusted_event: bool = False
    script_ran: bool = False
    honeypot: bool = False
    hosting: bool = False
    automatic: bool = False
    lately: Lately = Lately()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence adds up to."""

    verdict: Verdict
    reasons: tuple[str, ...]
    attestation: Attestation

    @property
    def attested(self) -> bool:
        """Whether a person's press is positively shown."""
        return self.attestation in ATTESTED and self.verdict != "bot"

    @property
    def confirms(self) -> bool:
        """Whether the press is enough in a confirmation mail, which proves the mailbox: there a browser that cannot
        attest a press without its script may do without."""
        return self.attestation != "none" and self.verdict != "bot"


def judge(evidence: Evidence) -> Judgement:
    """The verdict on one visit of a signed link: ``bot`` where something is certain, ``suspect`` where something is
    doubtful and no press is attested, else ``human``."""
    browser = _browser(evidence.headers.get("user-agent", ""))
    certain, doubts = _certain(evidence), _doubts(evidence, browser)
    attestation: Attestation = "none"
    if evidence.method == "POST":
        attestation = _attestation(evidence, browser)
        if evidence.automatic:
            attestation = "none"
        elif _press_of_a_script(evidence.headers, browser):
            doubts.append("press_without_user")
        elif attestation not in ATTESTED:
            doubts.append("not_attested")
        if evidence.lately.networks >= NETWORKS:
            doubts.append("many_networks")
            attestation = "none"
    verdict: Verdict = "bot" if certain else "human" if attestation in ATTESTED or not doubts else "suspect"
    return Judgement(verdict, tuple(certain + doubts), attestation)


@dataclass(frozen=True, slots=True)
class Seen:
    """A visit in the click log: when (ms), the link's kind, and the reasons of its verdict."""

    at: int
    kind: int
    reasons: tuple[str, ...]


def against(visits: Sequence[Seen]) -> str:
    """What in the visits around a grant that nobody pressed shows a program: ``honeypot``, ``burst``, or ""."""
    read = [one for one in visits if "prefetch" not in one.reasons]
    if any(one.kind == LinkKind.HONEYPOT for one in read):
        return "honeypot"
    opened = sorted((one.at, one.kind) for one in read if one.kind in MAILED)
    near = ((a, b) for a, b in pairwise(opened) if a[1] != b[1])
    return "burst" if any(b[0] - a[0] <= BURST_MS for a, b in near) else ""


def prefetched(headers: Mapping[str, str]) -> bool:
    """Whether a browser says that nobody has opened this yet."""
    return any(name in headers for name in _PREFETCH)


def _certain(evidence: Evidence) -> list[str]:
    found = []
    if evidence.method not in ("GET", "POST"):
        found.append("method")
    if prefetched(evidence.headers):
        found.append("prefetch")
    if _SCANNER.search(evidence.headers.get("user-agent", "")):
        found.append("scanner_agent")
    # A browser may read every link of a page ahead; that is nobody's step into the trap.
    if evidence.lately.honeypot or (evidence.honeypot and not prefetched(evidence.headers)):
        found.append("honeypot")
    return found


def _doubts(evidence: Evidence, browser: str) -> list[str]:
    headers, found = evidence.headers, []
    if not headers.get("user-agent"):
        found.append("no_agent")
    if "accept-language" not in headers:
        found.append("no_language")
    if evidence.method == "GET" and 0 <= evidence.age_ms < GATE_MS:
        found.append("soon_after_sending")
    if evidence.lately.other_links:
        found.append("burst")
    if evidence.https and browser and "sec-fetch-mode" not in headers:
        found.append("no_fetch_metadata")
    if browser == "safari" and ("sec-fetch-user" in headers or "sec-ch-ua" in headers):
        found.append("not_the_browser_it_claims")
    if evidence.hosting:
        found.append("hosting_network")
    return found


def _attestation(evidence: Evidence, browser: str) -> Attestation:
    headers = evidence.headers
    # A browser that sends Sec-Fetch-User for every real press did not send it: the press was a script's.
    if _press_of_a_script(headers, browser):
        return "none"
    # Whatever runs a page's script calls itself Mozilla; a crawler that fills in every field does not have to.
    if evidence.trusted_event and headers.get("user-agent", "").startswith("Mozilla/"):
        return "trusted_event"
    if headers.get("sec-fetch-user") == "?1" and browser != "safari":
        return "sec_fetch_user"
    return "fetch_metadata" if browser == "safari" and _scriptless_form(evidence) else "none"


def _press_of_a_script(headers: Mapping[str, str], browser: str) -> bool:
    return browser in ("chromium", "firefox") and "sec-fetch-mode" in headers and headers.get("sec-fetch-user") != "?1"


def _scriptless_form(evidence: Evidence) -> bool:
    """Whether this is a form as Safari sends it where scripts are off. Other engines give themselves away."""
    headers = evidence.headers
    return (
        not evidence.script_ran
        and headers.get("sec-fetch-site") == "same-origin"
        and headers.get("sec-fetch-mode") == "navigate"
        and headers.get("sec-fetch-dest") == "document"
        and "accept-language" in headers
        and not {"sec-fetch-user", "sec-ch-ua"} & headers.keys()
    )


def _browser(agent: str) -> str:
    """The engine whose fetch metadata can be judged; "" for older ones and for all others."""
    if match := _CHROMIUM.search(agent):
        return "chromium" if int(match.group(1)) >= 80 else ""
    if match := _FIREFOX.search(agent):
        return "firefox" if int(match.group(1)) >= 90 else ""
    if match := _SAFARI.search(agent):
        return "safari" if (int(match[1]), int(match[2] or 0)) >= _FETCHED_BY_SAFARI else ""
    return ""
