"""Filling one order confirmation, against what shops do otherwise: a template engine and MJML for every email."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape
from mjml import mjml2html

from bench import scene
from handraiser.core.formats import formats_of
from handraiser.core.markup import json_ld
from handraiser.core.mjml.compile import compile_block, compile_page
from handraiser.core.mjml.fill import Block, Engine, Page
from handraiser.core.mjml.lint import SLOT
from handraiser.core.mjml.source import Source, engine_ready, fold_words, named_entities_as_characters, put_parts_in
from handraiser.core.mjml.text import text_of
from handraiser.core.payload import read_email
from handraiser.core.view import view
from handraiser.template_files import read_sources

PAGE = "order_confirmation"
BLOCKS = {"service": "order-care", "ask": "newsletter-after-order"}
PEERS = Path(__file__).parent / "peers"
CACHE = Path.home() / ".cache" / "handraiser-bench"
"""Where node's packages go: outside the checkout, and kept from run to run."""

_ASK = {
    "ask": {
        "url": "https://mail.fjell-fjord.example/o/AQAAAQGbz4dQAHAAgAAAAAAAAAAQ.c2lnbmF0dXJlLW9mLTE2LWJ5dGVz",
        "decline_url": "https://mail.fjell-fjord.example/o/AQAAAQGbz4dQAHAAgAAAAAAAAAAg.c2lnbmF0dXJlLW9mLTE2LWJ5dGVz?no",
        "never_url": "https://mail.fjell-fjord.example/u/AQAAAQGbz4dQAHAAgAAAAAAAAAAg.c2lnbmF0dXJlLW9mLTE2LWJ5dGVz",
        "promise": {
            "what": "News and offers",
            "frequency": "At most twice a month",
            "benefit": "10 % off",
            "button": "Yes",
        },
        "market_line": "",
    }
}


@dataclass(frozen=True, slots=True)
class Fill:
    """Median CPU µs of one email, by road; ``node`` says why when it was not measured."""

    ours: float
    mjml_python: float
    node: float | str
    html_bytes: int
    node_version: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail in two forms: compiled here, and as one MJML template for those who render it each time."""

    engine: Engine
    page: Page
    blocks: Mapping[str, tuple[Block, Mapping[str, Any]]]
    context: Mapping[str, Any]
    markup: str
    template: str

    def fill(self) -> tuple[str, str]:
        """The mail's HTML and text, filled."""
        filled = self.engine.fill(self.page, self.blocks, self.context, head_extra=self.markup)
        return filled.html, filled.text

    def fill_html(self) -> None:
        """The HTML programs alone."""
        slots = {f"_slot_{slot}": block.html({**self.context, **extra}) for slot, (block, extra) in self.blocks.items()}
        self.page.html({**self.context, **slots, "_head": self.markup})

    def fill_text(self) -> None:
        """The text programs alone, and the subject's."""
        slots = {f"_slot_{slot}": block.text({**self.context, **extra}) for slot, (block, extra) in self.blocks.items()}
        self.page.text({**self.context, **slots})
        self.page.title(self.context)


def the_mail() -> Mail:
    """The order confirmation with both blocks in place."""
    shop = scene.the_shop()
    sources = read_sources(scene.TEMPLATES, shop.slug)
    page, parts = sources.pages[PAGE], sources.parts
    engine = Engine()
    compiled = compile_page(PAGE, page, parts, words={}, locale="en", direction="ltr")
    blocks, written = {}, {}
    for slot, name in BLOCKS.items():
        written[slot] = (scene.TEMPLATES / "blocks" / name / "a.en.mjml").read_text(encoding="utf-8")
        block = compile_block(name, written[slot], page=page, parts=parts, words={}, locale="en", direction="ltr")
        blocks[slot] = (engine.load_block(block), _ASK)
    email = read_email(scene.an_order(1042), shop=shop).email
    return Mail(
        engine=engine,
        page=engine.load_page(compiled),
        blocks=blocks,
        context=view(email, shop, formats_of("en", shop.time_zone), {}),
        markup=json_ld(email, shop),
        template=one_template(page, parts, written),
    )


def one_template(page: str, parts: Mapping[str, str], blocks: Mapping[str, str]) -> str:
    """The page with its parts, English words and blocks in their places: MJML with ``{{ }}``, as one file."""
    source = put_parts_in(Source.of(PAGE, page), parts)
    source = source.replaced(SLOT, lambda match: blocks.get(match.group(1), ""))
    source = named_entities_as_characters(fold_words(source, {}))
    text = re.sub(r"\{#.*?#\}", "", source.text, flags=re.DOTALL)
    return engine_ready(text.replace("</mj-head>", "<mj-raw>{{ markup|safe }}</mj-raw></mj-head>"))


def measure(*, rounds: int, seconds: float, with_node: bool = True) -> Fill:
    """Rounds of each road in turn; medians of all their emails."""
    mail = the_mail()
    each_time = _mjml_python(mail)
    same_words(mail.fill()[0], each_time())
    node = _Node.start(mail) if with_node else "left out"
    ours: list[float] = []
    python: list[float] = []
    theirs: list[float] = []
    try:
        for _ in range(rounds):
            ours += _loop(mail.fill, seconds)
            python += _loop(each_time, seconds)
            if isinstance(node, _Node):
                theirs += node.loop(seconds)
    finally:
        if isinstance(node, _Node):
            node.stop()
    return Fill(
        ours=statistics.median(ours),
        mjml_python=statistics.median(python),
        node=float(statistics.median(theirs)) if isinstance(node, _Node) else node,
        html_bytes=len(mail.fill()[0]),
        node_version=node.version if isinstance(node, _Node) else "",
    )


def same_words(ours: str, theirs: str) -> None:
    """Raise unless both mails say the same, or the comparison would be of different mails."""
    one, other = (" ".join(text_of(html).split()) for html in (ours, theirs))
    if one != other:
        raise RuntimeError(f"the two mails differ:\n{one}\n---\n{other}")


def _mjml_python(mail: Mail) -> Callable[[], str]:
    """The usual way in Python: Jinja fills the MJML, the engine compiles the result, for every email."""
    environment = jinja2.Environment(autoescape=True)
    environment.filters["lines"] = lambda text: Markup("<br />").join(escape(text).splitlines())
    template = environment.from_string(mail.template)
    context = {**mail.context, **_ASK, "markup": mail.markup}
    return lambda: str(mjml2html(template.render(context), fonts={}))


def _loop(make: Callable[[], object], seconds: float) -> list[float]:
    """CPU µs of each call, for ``seconds`` and at least three times."""
    make()
    taken: list[float] = []
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(taken) < 3:
        start = time.thread_time_ns()
        make()
        taken.append((time.thread_time_ns() - start) / 1000)
    return taken


class _Node:
    """A node process that renders the same mail with nunjucks and mjml, a round at a time."""

    def __init__(self, process: subprocess.Popen[str], version: str) -> None:
        self._process = process
        self.version = version

    @classmethod
    def start(cls, mail: Mail) -> _Node | str:
        """The warm process, or why there is none."""
        node, npm = shutil.which("node"), shutil.which("npm")
        if node is None or npm is None:
            return "not measured: there is no node"
        CACHE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "fill.mjs"):
            shutil.copy(PEERS / name, CACHE)
        install = [npm, "install", "--no-audit", "--no-fund", "--no-package-lock", "--silent"]
        if subprocess.run(install, cwd=CACHE, check=False).returncode:
            return "not measured: npm could not install the packages"
        process = subprocess.Popen(
            [node, "fill.mjs"], cwd=CACHE, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        started = cls(process, "")
        context = {**mail.context, **_ASK, "markup": mail.markup}
        ready = started._ask({"template": mail.template, "context": context})
        same_words(mail.fill()[0], ready["html"])
        started.version = f"node {ready['node']}, mjml {ready['mjml']}, nunjucks {ready['nunjucks']}"
        started.loop(2.0)
        return started

    def _ask(self, message: Mapping[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(message) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("node ended without an answer")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def loop(self, seconds: float) -> list[float]:
        """µs of each email for ``seconds``: CPU of all threads, or time passed where that is less."""
        taken: list[float] = self._ask({"seconds": seconds})["taken"]
        return taken

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()
