"""The figures as Markdown, put between the two marks in docs/performance.md; the prose around them stays."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path

from bench.fill import Fill
from bench.post import Post
from bench.relay import Relayed
from bench.stages import Stages

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
_MARKS = ("<!-- measured: begin -->\n", "<!-- measured: end -->\n")


def write(text: str, page: Path = PAGE) -> None:
    """Put ``text`` between the marks of the page."""
    before, _, rest = page.read_text(encoding="utf-8").partition(_MARKS[0])
    _, _, after = rest.partition(_MARKS[1])
    page.write_text(f"{before}{_MARKS[0]}\n{text}\n{_MARKS[1]}{after}", encoding="utf-8")


def compose(fill: Fill, post: Post, stages: Stages, relayed: Relayed | str) -> str:
    """Everything that was measured, as tables."""
    return "\n\n".join([_machine(fill), _roads(fill, post), _relay(relayed), _stages(post, stages), _memory(post)])


def _machine(fill: Fill) -> str:
    versions = f"{fill.node_version}; " if fill.node_version else ""
    return (
        f"{versions}CPython {platform.python_version()} on {platform.system()} {platform.machine()}. "
        f"One order confirmation: 10 items, 2 blocks, {fill.html_bytes / 1000:.1f} kB of HTML."
    )


def _roads(fill: Fill, post: Post) -> str:
    ours = f"{fill.ours:,.0f} µs"
    node = f"{fill.node:,.0f} µs" if isinstance(fill.node, float) else fill.node
    ratio = f"{fill.node / fill.ours:.0f}×" if isinstance(fill.node, float) else "–"
    rows = [
        ("fill (HTML and text)", ours, "node: nunjucks and mjml per email (HTML alone)", node, ratio, "≥ 60×"),
        (
            "",
            ours,
            "Python: Jinja and mjml-python per email (HTML alone)",
            f"{fill.mjml_python:,.0f} µs",
            f"{fill.mjml_python / fill.ours:.1f}×",
            "–",
        ),
        (
            "`POST /v1/emails`, durable",
            f"{post.ours.rate:,.0f} /s, {post.ours.micros:,.0f} µs CPU",
            f"bare aiohttp handler, same body in, same {post.answer_bytes / 1000:.0f} kB out",
            f"{post.bare.rate:,.0f} /s, {post.bare.micros:,.0f} µs CPU",
            f"{post.bare.micros / post.ours.micros:.2f}×",
            "≥ 0.15×",
        ),
    ]
    table = _table(("road", "ours", "reference", "", "ratio", "first step"), rows)
    waits = ", ".join(f"p{share:.0%}".rstrip("%") + f" {post.ours.milliseconds(share):.0f} ms" for share in (0.5, 0.99))
    busy = min((*post.ours.busy, *post.bare.busy))
    told = f"Ours answers within {waits} at 32 connections; the servers kept their core busy to at least {busy:.0%}."
    return f"{table}\n\n{told}"


def _relay(relayed: Relayed | str) -> str:
    head = ("finished mail", "ours", "reference", "", "ratio", "first step")
    if isinstance(relayed, str):
        return _table(head, [("through the relay", f"not measured: {relayed}", "", "", "", "")])
    peer, hostile = relayed.postfix, relayed.hostile
    rows = [
        (
            name,
            f"{ours.rate:,.0f} /s, {ours.micros:,.0f} µs CPU",
            f"Postfix that only relays, same hop, {relayed.mail_bytes / 1000:.1f} kB a mail",
            f"{peer.rate:,.0f} /s, {peer.micros:,.0f} µs CPU",
            f"{ours.rate / peer.rate:.2f}×",
            wanted,
        )
        for name, ours, wanted in (
            ("relay, passing", relayed.passing, "≥ 0.8×"),
            ("relay, enriching", relayed.enriching, "≥ 0.35×"),
        )
    ]
    told = (
        f"Other mail, at most 40 a second, is enriched within p99 {hostile.without:,.0f} ms, and within p99 "
        f"{hostile.beside:,.0f} ms while mail of 100,000 nested elements and mail of 2 MB of tables keep coming. Of "
        f"those {hostile.mails} passed as they came, the slowest after {hostile.longest:,.0f} ms."
    )
    return f"{_table(head, rows)}\n\n{told}"


def _stages(post: Post, stages: Stages) -> str:
    rows = [(name, f"{micros:,.0f}") for name, micros in stages.items()]
    rows.append(("the whole request, as served", f"{post.ours.micros:,.0f}"))
    return _table(("stage of one email", "CPU µs"), rows)


def _memory(post: Post) -> str:
    rows = [(f"{emails:,}", f"{megabytes:.0f}") for emails, megabytes in post.memory]
    table = _table(("emails composed", "resident memory, MB"), rows)
    return f"{table}\n\nThe most it ever was: {post.peak:.0f} MB (first step: ≤ 100 MB)."


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
