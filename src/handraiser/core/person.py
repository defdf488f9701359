"""Human or machine: evidence of one visit in, verdict and reasons out.

A verdict never blocks a person: an attested press grants, everything doubtful waits for a confirmation mail. Nothing
here is asked before a withdrawal.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["human", "suspect", "bot"]
Attestation = Literal["trusted_event", "sec_fetch_user", "none"]

GATE_MS = 300_000
_PREFETCH = ("sec-purpose", "purpose", "x-moz", "x-purpose")
# Word-bounded: phones of the make "CUBOT" end in "bot" and are no bots.
_SCANNER = re.compile(
    r"\b(\w*(?<!\bcu)bot|crawler|spider|bingpreview|facebookexternalhit|whatsapp|skypeuripreview|barracuda|proofpoint|"
    r"mimecast|safelinks|curl|wget|python-requests|go-http-client|okhttp|java|urlscan|virustotal)\b",
    re.IGNORECASE,
)
_CHROMIUM = re.compile(r"\b(?:Chrome|HeadlessChrome|Chromium|Edg)/(\d+)")
_FIREFOX = re.compile(r"\bFirefox/(\d+)")


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one request shows. ``headers`` by lower-case name; ``age_ms`` since the message was sent;
    ``trusted_event`` says that the page's script saw a press which the browser called trusted."""

    method: str
    headers: Mapping[str, str]
    https: bool = False
    age_ms: int = 0
    trusted_event: bool = False


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the evidence adds up to."""

    verdict: Verdict
    reasons: tuple[str, ...]
    attestation: Attestation

    @property
    def attested(self) -> bool:
        """Whether a person's press is positively shown."""
        return self.attestation != "none" and self.verdict != "bot"


def judge(evidence: Evidence) -> Judgement:
    """The verdict on one visit of a signed link."""
    headers = evidence.headers
    agent = headers.get("user-agent", "")
    certain, doubts = [], []
    if evidence.method not in ("GET", "POST"):
        certain.append("method")
    if any(name in headers for name in _PREFETCH):
        certain.append("prefetch")
    if _SCANNER.search(agent):
        certain.append("scanner_agent")
    if not agent:
        doubts.append("no_agent")
    if "accept-language" not in headers:
        doubts.append("no_language")
    if evidence.method == "GET" and 0 <= evidence.age_ms < GATE_MS:
        doubts.append("soon_after_sending")
    browser = _browser(agent)
    if evidence.https and browser and "sec-fetch-mode" not in headers:
        doubts.append("no_fetch_metadata")
    if browser == "safari" and ("sec-fetch-user" in headers or "sec-ch-ua" in headers):
        doubts.append("not_the_browser_it_claims")
    attestation: Attestation = "none"
    if evidence.method == "POST":
        if evidence.trusted_event:
            attestation = "trusted_event"
        elif headers.get("sec-fetch-user") == "?1" and browser != "safari":
            attestation = "sec_fetch_user"
        # A browser that sends Sec-Fetch-User for every real press did not send it: the press was a script's.
        if browser in ("chromium", "firefox") and "sec-fetch-mode" in headers and "sec-fetch-user" not in headers:
            doubts.append("press_without_user")
            attestation = "none"
    verdict: Verdict = "bot" if certain else "human" if attestation != "none" or not doubts else "suspect"
    return Judgement(verdict, tuple(certain + doubts), attestation)


def _browser(agent: str) -> str:
    if match := _CHROMIUM.search(agent):
        return "chromium" if int(match.group(1)) >= 80 else ""
    if match := _FIREFOX.search(agent):
        return "firefox" if int(match.group(1)) >= 90 else ""
    return "safari" if "Safari/" in agent and "Version/" in agent else ""
