"""Words put into a plain text: where, between which blank lines, and in which letters."""

from __future__ import annotations

import re
import unicodedata

from handraiser.core.splice.footer_words import EARLIEST, FOOTER_TEXT, STILL_THE_ORDER
from handraiser.core.splice.mime_reasons import Doubt, Reason

FOOTER_CHARACTERS = 20_000
"""How far from its end a text is searched for a footer."""
TOTAL_CHARACTERS = 60
"""Longest line that can be a total."""

_SIGNATURE = re.compile(r"^--[ ]?\r?$", re.MULTILINE)
_LINE = re.compile(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+")
_RULE = re.compile(r"([-=_*~─━]) ?(?:\1 ?){4,}")
_LINE_END = re.compile(r"[ \t]*(?:\r\n|\r|\n)?")
_PLAIN = str.maketrans(
    {
        "\xa0": " ", "\u202f": " ", "\u2007": " ", "\u2009": " ", "\xad": "", "\u200b": "", "\u200e": "", "\u200f": "",
        "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-", "‘": "'", "’": "'", "‚": "'", "‹": "'", "›": "'",
        "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "…": "...", "•": "*", "·": "*", "→": "->", "€": "EUR",
        "£": "GBP", "©": "(c)", "®": "(R)", "™": "(TM)", "×": "x", "ß": "ss", "ẞ": "SS", "æ": "ae", "Æ": "AE",
        "œ": "oe", "Œ": "OE", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ł": "l", "Ł": "L", "ı": "i", "þ": "th",
        "Þ": "Th", "ð": "d", "Ð": "D", "¿": "", "¡": "",
    }
)  # fmt: skip


def writable(words: str, codec: str, *, ascii_only: bool) -> str:
    """``words`` in characters that the codec has: as they are, in plain letters (``é`` as ``e``, ``€`` as ``EUR``);
    other punctuation becomes ``?``, pictures and marks go.

    Raises :class:`Doubt` for letters that have no plain form there: a promise nobody can read is worse than none.
    """
    if _holds(words, codec, ascii_only):
        return words
    lacking = [one for one in dict.fromkeys(words) if not _holds(one, codec, ascii_only)]
    return words.translate({ord(one): _plain(one, codec, ascii_only) for one in lacking})


def _holds(words: str, codec: str, ascii_only: bool) -> bool:
    try:
        encoded = words.encode(codec)
    except UnicodeEncodeError:
        return False
    return not ascii_only or encoded.isascii()


def _plain(character: str, codec: str, ascii_only: bool) -> str:
    plain = character.translate(_PLAIN)
    if plain == character:
        plain = "".join(c for c in unicodedata.normalize("NFKD", character) if not unicodedata.combining(c))
    if plain != character and _holds(plain, codec, ascii_only):
        return plain
    kind = unicodedata.category(character)
    if kind[0] in "LN":
        raise Doubt(Reason.UNWRITABLE_TEXT)
    return "?" if kind[0] == "P" or kind in ("Sc", "Sm") else ""


def place_text(text: str) -> int:
    """Where words are put into a plain text: before its signature (``-- ``), else before the passage that its footer
    begins with, else behind its last line."""
    *_, signature = (None, *_SIGNATURE.finditer(text))
    place = signature.start() if signature else _footer(text)
    if place is not None:
        return place
    last = _LINE_END.match(text, len(text.rstrip()))
    return last.end() if last and last.start() else 0


def _footer(text: str) -> int | None:
    """Where the first passage begins, behind a blank line or a rule, that reads like a footer; no total follows it."""
    place = begins = rule = None
    fresh = under_text = False
    start = max(int(len(text) * EARLIEST), len(text) - FOOTER_CHARACTERS)
    for line in _LINE.finditer(text, text.find("\n", start) + 1):
        words = line[0].strip()
        if _RULE.fullmatch(words[:100]):
            if rule is None:
                rule, under_text = line.start(), not fresh
            fresh = True
        elif not words:
            rule = None if under_text else rule  # it underlines a heading or closes a table
            fresh = True
        else:
            if fresh:
                begins = line.start() if rule is None else rule
            fresh, rule = False, None
            if len(words) <= TOTAL_CHARACTERS and STILL_THE_ORDER.search(words):
                place = begins = None
            elif place is None and begins is not None and FOOTER_TEXT.search(words):
                place = begins
    return place


def paragraph(words: str, text: str, offset: int, *, flowed: bool) -> str:
    """``words`` as a paragraph at ``offset`` of ``text``: a blank line before and behind it, ``\\n`` as line end.

    In ``flowed`` text (RFC 3676) no line ends with a blank, and a line that begins with one, ``>`` or ``From `` is
    space-stuffed.
    """
    lines = words.replace("\r\n", "\n").replace("\r", "\n").strip().split("\n")
    if flowed:
        lines = [re.sub(r"^(?= |>|From )", " ", line.rstrip(" ")) for line in lines]
    before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
    behind = text[offset:]
    lead = "\n" * (2 - min(2, len(before) - len(before.rstrip("\n")))) if before else ""
    trail = "\n" if behind or before.endswith("\n") else ""
    if behind and not behind.startswith(("\n", "\r")):
        trail += "\n"
    return lead + "\n".join(lines) + trail
