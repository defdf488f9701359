"""Why a mail is left alone: the closed list of words for it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

HtmlReason = Literal["already_enriched", "too_large", "too_deep", "empty", "no_place"]
"""Why HTML is left alone."""


class Reason(StrEnum):
    """One word each; a mail that is left alone has exactly one."""

    # What must not be touched, though it can be read.
    SIGNED = "signed"
    """An S/MIME or OpenPGP signature covers a part."""
    ENCRYPTED = "encrypted"
    REPORT = "report"
    """A delivery report or read receipt."""
    PARTIAL_MESSAGE = "partial_message"
    """A piece of a mail that was cut up (message/partial)."""
    EXTERNAL_BODY = "external_body"
    INLINE_PGP = "inline_pgp"
    INLINE_FILE = "inline_file"
    """A uuencoded or yEnc file stands in the text."""
    DKIM_SIGNED = "dkim_signed"
    """DKIM, ARC or DomainKeys signed; ``signed_ok`` of :func:`mime.read` lets it pass."""
    MAILING_LIST = "mailing_list"
    AUTO_REPLIED = "auto_replied"
    CONTENT_MD5 = "content_md5"
    # What readers of mail would take in different ways.
    DUPLICATE_CONTENT_TYPE = "duplicate_content_type"
    """A part has two Content-Type, Content-Transfer-Encoding or Content-Disposition headers."""
    BROKEN_HEADERS = "broken_headers"
    """A line that is no header, no blank line after them, a Content-Type that names no type; more than a thousand of
    them."""
    BROKEN_BOUNDARIES = "broken_boundaries"
    """None, one missing, one with something behind it, one after the last."""
    BOUNDARY_REUSED = "boundary_reused"
    BARE_CR = "bare_cr"
    """A CR without LF ends a header line or stands beside a boundary."""
    UNKNOWN_ENCODING = "unknown_encoding"
    """The body's Content-Transfer-Encoding is not one of five, or a multipart is said to be encoded."""
    BROKEN_ENCODING = "broken_encoding"
    """Base64 or quoted-printable that decoders read in different ways."""
    UNKNOWN_CHARSET = "unknown_charset"
    UNDECODABLE_TEXT = "undecodable_text"
    """NUL characters, or bytes that are nothing in the charset."""
    SEVERAL_HTML_PARTS = "several_html_parts"
    AMBIGUOUS_BODY = "ambiguous_body"
    """It cannot be told which part a reader takes for the body."""
    NO_BODY = "no_body"
    """No HTML and no plain text is shown as the body."""
    PARSERS_DISAGREE = "parsers_disagree"
    """The standard library's parser sees another structure, or other text in the body's parts."""
    # Limits.
    TOO_LARGE = "too_large"
    TOO_MANY_LINES = "too_many_lines"
    TOO_MANY_PARTS = "too_many_parts"
    TOO_DEEP = "too_deep"
    # What splicing found.
    NO_SUCH_PART = "no_such_part"
    """There is no part of the kind that something was to be put into, or the offset is outside its text."""
    UNSPLICEABLE_TEXT = "unspliceable_text"
    """At this place the charset's bytes cannot be cut so that the rest stays as it is."""
    UNWRITABLE_TEXT = "unwritable_text"
    """The charset has no letters for what was to be inserted."""
    LINE_TOO_LONG = "line_too_long"
    """A line would pass the 998 octets that SMTP allows, and none did before."""
    RESULT_DIFFERS = "result_differs"
    """Reading the result again showed something else than the mail with one insertion a part."""


@dataclass(frozen=True, slots=True)
class Untouchable:
    """The mail passes as it is, for this reason."""

    reason: Reason


class Doubt(Exception):
    """Raised inside this package where a mail, or a place in it, turns out not to be safe to touch."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason = reason
