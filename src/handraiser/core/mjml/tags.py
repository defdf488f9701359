"""What the template language allows: elements and what stands in them, attributes, Jinja nodes, filters and names."""

from __future__ import annotations

from jinja2 import nodes

SOURCE_BYTES = 200_000
PROGRAM_BYTES = 400_000
DEPTH = 60


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BOX = "css-class padding padding-top padding-right padding-bottom padding-left"
_BORDER = "border border-top border-right border-bottom border-left border-radius"
_FONT = "color font-family font-size font-style font-weight line-height letter-spacing text-decoration text-transform"
_GROUND = (
    "background-color background-url background-repeat background-size background-position "
    "background-position-x background-position-y"
)
_LINK = "href rel target title name"
_SECTION = f"{_BOX} {_BORDER} {_GROUND} direction full-width text-align"
_ICONS = (
    "icon-align icon-height icon-position icon-unwrapped-alt icon-unwrapped-url icon-width icon-wrapped-alt "
    "icon-wrapped-url"
)

MJML_ATTRIBUTES: dict[str, frozenset[str]] = {
    name: _words(attributes)
    for name, attributes in {
        "mjml": "lang dir",
        "mj-head": "",
        "mj-attributes": "",
        "mj-breakpoint": "width",
        "mj-font": "name href",
        "mj-preview": "",
        "mj-style": "",
        "mj-title": "",
        "mj-body": "background-color width css-class",
        "mj-section": _SECTION,
        "mj-wrapper": _SECTION,
        "mj-hero": f"{_BOX} {_GROUND} border-radius background-height background-width height mode vertical-align "
        "width inner-background-color inner-padding inner-padding-top inner-padding-right inner-padding-bottom "
        "inner-padding-left",
        "mj-column": f"{_BOX} {_BORDER} background-color direction vertical-align width inner-background-color "
        "inner-border inner-border-top inner-border-right inner-border-bottom inner-border-left inner-border-radius",
        "mj-group": f"{_BOX} background-color direction vertical-align width",
        "mj-text": f"{_BOX} {_FONT} align container-background-color height",
        "mj-button": f"{_BOX} {_BORDER} {_FONT} {_LINK} align background-color container-background-color height "
        "inner-padding text-align vertical-align width",
        "mj-image": f"{_BOX} {_BORDER} {_LINK} align alt container-background-color fluid-on-mobile height max-height "
        "src width",
        "mj-divider": f"{_BOX} align border-color border-style border-width container-background-color width",
        "mj-spacer": f"{_BOX} container-background-color height",
        "mj-table": f"{_BOX} {_FONT} align border cellpadding cellspacing container-background-color role table-layout "
        "text-align vertical-align width",
        "mj-raw": "",
        "mj-social": f"{_BOX} {_FONT} align border-radius container-background-color icon-height icon-padding "
        "icon-position icon-size inner-padding mode table-layout text-padding vertical-align",
        "mj-social-element": f"{_BOX} {_FONT} {_LINK} align alt background-color border-radius icon-height "
        "icon-padding icon-position icon-size src text-padding vertical-align",
        "mj-accordion": f"{_BOX} {_ICONS} border container-background-color font-family",
        "mj-accordion-element": f"{_ICONS} background-color border css-class font-family",
        "mj-accordion-title": f"{_BOX} background-color color font-family font-size font-weight",
        "mj-accordion-text": f"{_BOX} {_FONT} background-color",
    }.items()
}
ANY_ATTRIBUTE = frozenset().union(*MJML_ATTRIBUTES.values())
"""What mj-all and mj-class may set."""

_CONTENT = frozenset(
    {"mj-text", "mj-button", "mj-image", "mj-divider", "mj-spacer", "mj-table", "mj-raw", "mj-social", "mj-accordion"}
)
CHILDREN: dict[str, frozenset[str]] = {
    "mjml": frozenset({"mj-head", "mj-body"}),
    "mj-head": frozenset({"mj-attributes", "mj-breakpoint", "mj-font", "mj-preview", "mj-style", "mj-title", "mj-raw"}),
    "mj-attributes": frozenset(name for name in MJML_ATTRIBUTES if name not in ("mjml", "mj-raw"))
    | {"mj-all", "mj-class"},
    "mj-body": frozenset({"mj-section", "mj-wrapper", "mj-hero", "mj-raw"}),
    # Anything else in a wrapper lands inside a comment that only Outlook reads.
    "mj-wrapper": frozenset({"mj-section", "mj-hero"}),
    "mj-section": frozenset({"mj-column", "mj-group", "mj-raw"}),
    "mj-group": frozenset({"mj-column", "mj-raw"}),
    "mj-column": _CONTENT,
    "mj-hero": _CONTENT,
    "mj-social": frozenset({"mj-social-element"}),
    "mj-accordion": frozenset({"mj-accordion-element"}),
    "mj-accordion-element": frozenset({"mj-accordion-title", "mj-accordion-text"}),
}
"""MJML elements that hold other MJML elements; all others hold HTML."""

HTML_TAGS = _words(
    "a abbr b bdi bdo blockquote br caption cite code col colgroup dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img ins "
    "li ol p pre q s small span strong sub sup table tbody td tfoot th thead time tr u ul"
)
_EVERY = _words("class id style title lang dir role align valign width height bgcolor")
_TABLE = _words("border cellpadding cellspacing background")
_CELL = _words("colspan rowspan headers scope abbr background")
HTML_ATTRIBUTES: dict[str, frozenset[str]] = {
    "a": _words("href target rel name"),
    "img": _words("src alt border"),
    "table": _TABLE,
    "td": _CELL,
    "th": _CELL,
    "col": frozenset({"span"}),
    "colgroup": frozenset({"span"}),
    "ol": _words("start type reversed"),
    "ul": frozenset({"type"}),
    "li": frozenset({"value"}),
    "time": frozenset({"datetime"}),
    "del": frozenset({"datetime"}),
    "ins": frozenset({"datetime"}),
    "meta": frozenset({"name", "content"}),
}
FORBIDDEN_TAGS = {
    "mj-carousel": "its parts are tied together by numbers, which two blocks in one email would share",
    "mj-navbar": "its parts are tied together by numbers, which two blocks in one email would share",
    "mj-include": 'write it as <mj-include path="parts/….mjml" />, and only in pages and parts',
    "mj-html-attributes": "the MJML engine cannot read it",
}
TAGS = frozenset(MJML_ATTRIBUTES) | HTML_TAGS | {"mj-all", "mj-class"}
BLOCK_ROOTS = frozenset({"mj-section", "mj-wrapper", "mj-hero"})
NO_TEXT = frozenset(CHILDREN) | _words(
    "table tbody thead tfoot tr colgroup ul ol dl mj-table mj-image mj-divider mj-spacer mj-font mj-breakpoint"
)
"""Where neither words nor data can stand: the layout would drop them, or browsers would move them."""
NO_BRANCH = frozenset({"mjml", "mj-head", "mj-attributes", "mj-social", "mj-accordion", "mj-accordion-element"})


def attributes_of(tag: str) -> frozenset[str]:
    """What an element may carry."""
    if tag in MJML_ATTRIBUTES:
        return MJML_ATTRIBUTES[tag] | {"mj-class"} if tag.startswith("mj-") else MJML_ATTRIBUTES[tag]
    if tag in ("mj-all", "mj-class"):
        return ANY_ATTRIBUTE | {"name"}
    return _EVERY | HTML_ATTRIBUTES.get(tag, frozenset())


# The MJML engine passes these through as they are; with every other attribute it computes, where data would be lost.
DATA_ATTRIBUTES = _words(
    "href src alt title css-class color background-color background-url background container-background-color "
    "inner-background-color font-family border-color style class id rel name lang dir aria-label bgcolor content "
    "datetime"
)
DATA_SIZES = frozenset({("img", "width"), ("img", "height")})  # plain HTML, which the engine leaves as it is
URL_ATTRIBUTES = frozenset({"href", "src", "background", "background-url", "icon-wrapped-url", "icon-unwrapped-url"})
CSS_ATTRIBUTES = frozenset({"style", "color", "bgcolor", "fillcolor", "strokecolor"})

NODES: frozenset[type[nodes.Node]] = frozenset(
    {
        nodes.Template,
        nodes.Output,
        nodes.TemplateData,
        nodes.Name,
        nodes.Getattr,
        nodes.Const,
        nodes.If,
        nodes.For,
        nodes.Compare,
        nodes.Operand,
        nodes.And,
        nodes.Or,
        nodes.Not,
        nodes.Filter,
        nodes.CondExpr,
        nodes.Call,
        nodes.Keyword,
    }
)
FILTERS = frozenset({"lines", "default", "length", "upper", "lower", "join"})
STATEMENTS = frozenset({"if", "elif", "else", "endif", "for", "endfor"})
SLOTS = frozenset({"service", "ask", "member", "footer"})
LOOP_DEPTH = 2
LOOP_FACTS = frozenset({"first", "last", "index"})
ROOTS = _words("shop locale type customer order shipments pickup refund subscription notices extra")
"""What a template may read; blocks that ask also read ``ask``."""
ASK_SAYS = ("url", "decline_url", "never_url", "promise.what", "promise.frequency", "promise.benefit", "market_line")
"""What a block that asks cannot leave out: each way to answer, all that is promised, and the market's own line."""
