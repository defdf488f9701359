"""What must not go live, each fault with file, line, column and what was probably meant: code first, then elements."""

from __future__ import annotations

import html
import re
from dataclasses import dataclass, field
from xml.parsers import expat

from handraiser.core.mjml import tags
from handraiser.core.mjml.lint_code import SLOT, STATEMENT, CodeLint
from handraiser.core.mjml.source import (
    TOKEN,
    Source,
    Tokens,
    named_entities_as_characters,
    near,
    tokenise,
)
from handraiser.errors import TemplateFault

_FORGED = re.compile(r"zq[a-z]\d+xzq")
_ROOT = "handraiser-root"
_SCHEME = re.compile(r"\s*(https?://|mailto:|tel:|#)", re.IGNORECASE)
_ACTIVE_CSS = re.compile(
    r"@import|@charset|expression\s*\(|javascript:|behavior\s*:|-moz-binding|url\(\s*['\"]?\s*data:", re.I
)
_ESCAPING_CSS = re.compile(r"\bposition\s*:|\btransform\s*:|\bmargin[\w-]*\s*:[^;]*-\s*[\d.]|\bcontent\s*:", re.I)


def lint(source: Source, tokens: Tokens, *, block: bool) -> tuple[list[TemplateFault], Source]:
    """Everything that is wrong with a source whose parts and words are in place; and its token text."""
    if len(source.text.encode("utf-8", "replace")) > tags.SOURCE_BYTES:
        return [source.fault(0, "too_large", f"at most {tags.SOURCE_BYTES} bytes")], source
    faults = CodeLint(source, block=block).faults
    if not faults and (forged := _FORGED.search(html.unescape(source.text))):
        faults = [source.fault(0, "reserved", f"{forged.group(0)} is a word of the compiler's own")]
    if faults:
        return faults, source
    text = tokenise(source, tokens)
    return _Elements(text, tokens, block=block).faults, text


def _said(tag: str) -> str:
    return "the block" if tag == _ROOT else f"<{tag}>"


@dataclass(slots=True)
class _Open:
    """One element that is not closed yet."""

    tag: str
    opened: list[str] = field(default_factory=list)
    statements: list[int] = field(default_factory=list)
    narrow: list[int] = field(default_factory=list)


class _TooDeep(Exception):
    pass


class _Elements:
    """One pass over the elements: names, nesting, where data stands, and that branches close where they opened."""

    def __init__(self, source: Source, tokens: Tokens, *, block: bool) -> None:
        self.faults: list[TemplateFault] = []
        self._source = named_entities_as_characters(source)
        self._tokens = tokens
        self._block = block
        self._stack: list[_Open] = []
        head, tail = (f"<{_ROOT}>", f"</{_ROOT}>") if block else ("", "")
        self._document = f"{head}{self._source.text}{tail}".encode("utf-8", "replace")
        self._skip = len(head)
        parser = self._parser = expat.ParserCreate()
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._characters
        parser.CommentHandler = self._comment
        parser.StartCdataSectionHandler = lambda: self._fault("not_allowed", "CDATA cannot be read by the MJML engine")
        parser.ProcessingInstructionHandler = lambda *_: self._fault("not_allowed", "<? ?> has no place here")
        parser.StartDoctypeDeclHandler = lambda *_: self._fault("not_allowed", "the compiler writes the doctype itself")
        parser.XmlDeclHandler = lambda *_: self._fault("not_allowed", "<? ?> has no place here")
        parser.buffer_text = False
        try:
            parser.Parse(self._document, True)
        except expat.ExpatError as error:
            self._add(parser.ErrorByteIndex, "not_well_formed", expat.ErrorString(error.code))
        except _TooDeep:
            self._fault("too_deep", f"elements may be nested {tags.DEPTH} deep")

    def _fault(self, code: str, detail: str, suggestion: str = "", ahead: int = 0) -> None:
        self._add(self._parser.CurrentByteIndex, code, detail, suggestion, ahead)

    def _add(self, index: int, code: str, detail: str, suggestion: str = "", ahead: int = 0) -> None:
        self.faults.append(self._source.fault(self._offset(index) + ahead, code, detail, suggestion))

    def _offset(self, index: int) -> int:
        return max(0, len(self._document[:index].decode("utf-8", "ignore")) - self._skip)

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        known = tag == _ROOT or self._check_tag(tag)
        parent = self._stack[-1] if self._stack else None
        if tag == "mj-column" and parent and "width" not in attributes:
            parent.narrow.append(self._offset(self._parser.CurrentByteIndex))
        self._stack.append(_Open(tag))
        if len(self._stack) > tags.DEPTH:
            raise _TooDeep
        for name, value in attributes.items() if known else ():
            self._check_attribute(tag, name, value)

    def _check_tag(self, tag: str) -> bool:
        parent = self._stack[-1].tag if self._stack else ""
        if tag in tags.FORBIDDEN_TAGS:
            self._fault("not_allowed", f"<{tag}> cannot be used: {tags.FORBIDDEN_TAGS[tag]}")
            return False
        if tag == "meta" and not self._block and [one.tag for one in self._stack[-2:]] == ["mj-head", "mj-raw"]:
            return True
        if TOKEN.search(tag):
            self._fault("unknown_element", "data cannot make an element")
            return False
        if tag not in tags.TAGS:
            self._fault("unknown_element", f"there is no element <{tag}>", near(tag, tags.TAGS, "<{}>"))
            return False
        if self._block and len(self._stack) == 1:
            if tag not in tags.BLOCK_ROOTS:
                self._fault("block_root", "a block is made of mj-section, mj-wrapper or mj-hero")
        elif not self._stack:
            if tag != "mjml":
                self._fault("page_root", "a page is one <mjml>")
        elif parent in tags.CHILDREN:
            if tag not in tags.CHILDREN[parent]:
                self._fault("wrong_place", f"<{tag}> cannot stand directly in <{parent}>")
        elif tag not in tags.HTML_TAGS:
            self._fault("wrong_place", f"<{tag}> cannot stand in <{parent}>, which holds HTML")
        return True

    def _check_attribute(self, tag: str, name: str, value: str) -> None:
        allowed = tags.attributes_of(tag)
        if name not in allowed and not (name.startswith("aria-") and tag in tags.HTML_TAGS):
            code = "handler" if name.lower().startswith("on") else "unknown_attribute"
            self._fault(code, f"<{tag}> has no attribute {name}", near(name, allowed))
            return
        found = [(kind, int(number)) for kind, number in TOKEN.findall(value)]
        if found and name not in tags.DATA_ATTRIBUTES and (tag, name) not in tags.DATA_SIZES:
            self._fault("data_in_layout", f"data cannot stand in {name} of <{tag}>: the layout is computed from it")
        if _ACTIVE_CSS.search(value) and name not in ("alt", "title"):
            self._fault("bad_css", f"{name} may not hold code or foreign style sheets")
        if name == "style" and self._block and _ESCAPING_CSS.search(value):
            self._fault("bad_css", "a block may not move out of its own place (position, transform, negative margin)")
        for _, number in found:
            self._no_lines(number)
        opened: list[str] = []
        statements = [number for kind, number in found if kind == "s"]
        for number in statements:
            self._branch(number, opened)
        if opened:
            self._fault("unclosed", f"a branch must close inside the attribute {name}")
        if statements:
            self._tokens.attributes.append(tuple(statements))
        if name in tags.URL_ATTRIBUTES:
            self._check_link(name, value)

    def _check_link(self, name: str, value: str) -> None:
        """A literal link begins with its scheme; an expression is a whole link where it begins one, else a piece."""
        begun: set[bool] = {False}
        branches: list[tuple[set[bool], set[bool], bool]] = []
        position = 0
        for match in [*TOKEN.finditer(value), None]:
            literal = value[position : match.start() if match else len(value)]
            if literal.strip():
                if False in begun and not _SCHEME.match(literal):
                    self._fault("bad_url", f"{name} begins with https://, mailto:, tel: or #, or is one expression")
                begun = {True}
            if match is None:
                return
            position = match.end()
            number = int(match.group(2))
            if match.group(1) == "s":
                begun = self._link_branch(self._word(number), begun, branches)
            elif begun == {True}:
                self._tokens.link_pieces.add(number)
            elif begun == {False}:
                begun = {True}
            else:
                self._fault(
                    "bad_url", f"a branch of {name} begins the link, another does not: write a whole link in each"
                )

    @staticmethod
    def _link_branch(word: str, begun: set[bool], branches: list[tuple[set[bool], set[bool], bool]]) -> set[bool]:
        if word in ("if", "for"):
            branches.append((begun, set(), False))
            return begun
        before, after, otherwise = branches.pop() if branches else (begun, set(), True)
        if word in ("elif", "else"):
            branches.append((before, after | begun, word == "else"))
            return before
        return after | begun | (set() if otherwise else before)

    def _characters(self, text: str) -> None:
        here = self._stack[-1]
        literal = TOKEN.sub("", text)
        if literal.strip() and here.tag in tags.NO_TEXT | {_ROOT}:
            ahead = len(text) - len(text.lstrip())
            self._fault("text_place", f"text cannot stand directly in {_said(here.tag)}", ahead=ahead)
        if here.tag == "mj-style" and _ACTIVE_CSS.search(text):
            self._fault("bad_css", "styles may not hold code or foreign style sheets")
        for match in TOKEN.finditer(text):
            number = int(match.group(2))
            if here.tag in ("mj-title", "mj-preview", "mj-style"):
                self._no_lines(number)
            if match.group(1) == "s":
                if here.tag in tags.NO_BRANCH:
                    self._fault("branch_place", f"no branches or loops directly in <{here.tag}>", ahead=match.start())
                here.statements.append(number)
                self._branch(number, here.opened, match.start())
            elif SLOT.fullmatch(self._tokens.code[number][1]):
                if here.tag != "mj-body" or here.opened:
                    self._fault(
                        "slot_place", "a slot stands directly in <mj-body>, outside branches", ahead=match.start()
                    )
            elif here.tag in tags.NO_TEXT | {_ROOT}:
                detail = f"data cannot stand directly in {_said(here.tag)}"
                self._fault("text_place", detail, ahead=match.start())

    def _no_lines(self, number: int) -> None:
        if re.search(r"\|\s*lines\b", self._tokens.code[number][1]):
            self._fault("lines_place", "the filter lines makes line breaks, which have no place here")

    def _comment(self, text: str) -> None:
        if TOKEN.search(text):
            self._fault("comment", "no data or branches in <!-- -->; write {# #} to leave something out")
        elif re.search(r"\[\s*(if|endif)", text, re.I):
            self._fault("comment", "no conditional comments: the compiler writes those that Outlook needs")

    def _word(self, number: int) -> str:
        match = STATEMENT.match(self._tokens.code[number][1])
        return match.group(1) if match else ""

    def _branch(self, number: int, opened: list[str], ahead: int = 0) -> None:
        word = self._word(number)
        if word in ("if", "for"):
            opened.append(word)
        elif word in ("endif", "endfor"):
            if not opened or opened.pop() != word.removeprefix("end"):
                self._fault("crossing", f"{word} closes what opened in another element", ahead=ahead)
        elif not opened:
            self._fault("crossing", f"{word} belongs to a branch of another element", ahead=ahead)

    def _end(self, tag: str) -> None:
        element = self._stack.pop()
        if element.opened:
            self._fault("unclosed", f"{{% {element.opened[-1]} %}} must close inside the same {_said(tag)}")
        if tag == "mj-title" and element.statements:
            self._tokens.attributes.append(tuple(element.statements))
        if element.statements and tag in ("mj-section", "mj-group"):
            for offset in element.narrow:
                detail = "a column beside branches or loops needs a width: how many there are is known per email only"
                self.faults.append(self._source.fault(offset, "column_width", detail))
