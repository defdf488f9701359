"""From the email to the consent in a real Chromium: a person's press counts, a program's does not."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page

from browsing import House, Visitor, a_visitor
from running import an_order, the_ask

pytestmark = pytest.mark.browser

_COUNT = itertools.count(5000)


class Asked:
    """A new customer who got an email with an ask."""

    def __init__(self, house: House) -> None:
        number = next(_COUNT)
        self.id = str(number)
        self.house = house
        self.customer = {"id": self.id, "email": f"alice{number}@example.com"}
        self.mail = house.email(an_order(number, customer=self.customer))
        self.link = the_ask(self.mail)
        self.leave = self.mail["headers"]["List-Unsubscribe"].strip("<>")

    @property
    def events(self) -> list[str]:
        return [entry["event"] for entry in self.house.known(self.id)["entries"]]

    @property
    def standing(self) -> dict[str, str]:
        found: dict[str, str] = self.house.known(self.id)["standing"]
        return found


@pytest.fixture
def alice(house: House) -> Asked:
    return Asked(house)


def press(page: Page, action: str) -> None:
    """Press a button as a person does, and wait for the page that follows."""
    with page.expect_navigation():
        page.click(f"button[name=action][value={action}]")


def by_script(visitor: Visitor, link: str, script: str) -> None:
    """Open a page in which ``script`` does something with the form ``form``, as a program does: nobody touches it.

    Not by Playwright's ``evaluate``, which counts as a touch of the person's.
    """
    visitor.page.add_init_script(
        f"addEventListener('load', () => setTimeout(() => {{ const form = document.forms[0]; {script} }}, 50))"
    )
    with visitor.page.expect_response(lambda response: response.request.method == "POST") as answer:
        visitor.page.goto(link)
    answer.value.finished()


def test_from_the_email_to_the_consent_is_one_click_and_one_press(alice: Asked, visitor: Visitor):
    visitor.page.set_content(alice.mail["html"])
    with visitor.context.expect_page() as opened:
        visitor.page.click(f'a[href="{alice.link}"]')
    page = opened.value
    page.wait_for_load_state()
    assert page.url == alice.link
    assert alice.events == []
    assert "not signed up" in page.inner_text("main")
    assert page.locator("button").count() == 4
    assert page.locator("button.main").bounding_box()["height"] >= 44

    press(page, "yes")

    assert "signed up" in page.inner_text("h1")
    assert alice.events == ["granted"]
    assert alice.standing == {"offers": "granted"}
    (entry,) = alice.house.known(alice.id)["entries"]
    assert entry["attestation"] == "trusted_event"
    assert visitor.complaints == []
    origin = urlsplit(alice.link).netloc
    assert {urlsplit(url).netloc for url in visitor.loaded if url.startswith("http")} == {origin}
    assert visitor.context.cookies() == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible_and_fits_a_phone(house: House, chromium: Browser, scheme: str):
    alice = Asked(house)
    with a_visitor(chromium, 375, color_scheme=scheme) as visitor:
        visitor.page.goto(alice.link)
        visitor.sees_no_faults()
        press(visitor.page, "yes")
        visitor.sees_no_faults()
        visitor.page.goto(alice.link)
        visitor.sees_no_faults()
        visitor.page.goto(alice.leave)
        visitor.sees_no_faults()
        press(visitor.page, "leave")
        visitor.sees_no_faults()
        visitor.page.set_viewport_size({"width": 320, "height": 640})
        visitor.page.goto(alice.leave)
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_reference_is_accessible_and_fits_a_phone(house: House, chromium: Browser, scheme: str):
    with a_visitor(chromium, 375, color_scheme=scheme) as visitor:
        visitor.page.goto(house.it.url + "/docs")
        visitor.sees_no_faults()
        visitor.page.set_viewport_size({"width": 1280, "height": 800})
        assert visitor.page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert {urlsplit(url).netloc for url in visitor.loaded} == {urlsplit(house.it.url).netloc}


@pytest.mark.parametrize(("width", "height", "actions"), [(320, 568, ["yes"]), (375, 640, ["yes", "no", "never"])])
def test_the_buttons_stand_on_the_first_screen_of_a_phone(
    alice: Asked, visitor: Visitor, width: int, height: int, actions: list[str]
):
    visitor.page.set_viewport_size({"width": width, "height": height})
    visitor.page.goto(alice.link)

    for action in actions:
        box = visitor.page.locator(f"button[value={action}]").bounding_box()
        assert box is not None
        assert box["y"] + box["height"] <= height


@pytest.mark.parametrize(("action", "event"), [("no", "refused"), ("never", "objected")])
def test_no_thanks_is_one_press_and_is_remembered(alice: Asked, visitor: Visitor, action: str, event: str):
    visitor.page.goto(alice.link)
    press(visitor.page, action)

    assert alice.events == [event]
    later = alice.house.email(an_order(int(alice.id) + 100_000, customer=alice.customer))
    assert "ask" not in {placed["slot"] for placed in later["placements"]}


def test_undo_right_after_a_yes_takes_it_back(alice: Asked, visitor: Visitor):
    visitor.page.goto(alice.link)
    press(visitor.page, "yes")
    press(visitor.page, "undo")

    assert alice.events == ["granted", "withdrawn"]
    assert alice.standing == {"offers": "withdrawn"}


def test_not_you_says_no(alice: Asked, visitor: Visitor):
    visitor.page.goto(alice.link)
    press(visitor.page, "not_me")

    assert "granted" not in alice.events
    assert alice.standing.get("offers") not in ("granted", "pending")


def test_leaving_is_one_press_from_the_email(alice: Asked, visitor: Visitor):
    visitor.page.goto(alice.link)
    press(visitor.page, "yes")

    visitor.page.goto(alice.leave)
    assert alice.standing == {"offers": "granted"}, "opening the page changes nothing"
    press(visitor.page, "leave")

    assert alice.standing == {"offers": "withdrawn"}
    assert visitor.complaints == []


def test_without_javascript_a_press_counts_all_the_same(house: House, chromium: Browser):
    alice = Asked(house)
    with a_visitor(chromium, java_script_enabled=False) as visitor:
        visitor.page.goto(alice.link)
        press(visitor.page, "yes")

    (entry,) = house.known(alice.id)["entries"]
    assert (entry["event"], entry["attestation"]) == ("granted", "sec_fetch_user")


@pytest.mark.parametrize(
    "script",
    [
        "form.querySelector('[value=yes]')?.click()",
        "const yes = form.querySelector('[value=yes]'); if (yes) form.requestSubmit(yes)",
        "const yes = form.querySelector('[value=yes]'); form.press.value = 'trusted'; if (yes) form.requestSubmit(yes)",
    ],
    ids=["click", "submit", "a submit that claims to be trusted"],
)
def test_a_script_in_the_page_only_makes_it_pending(house: House, visitor: Visitor, script: str):
    alice = Asked(house)
    by_script(visitor, alice.link, script)

    assert alice.events == ["pending"]
    assert alice.standing == {"offers": "pending"}


def test_another_sites_page_cannot_press(alice: Asked, visitor: Visitor):
    form = f'<form method="post" action="{alice.link}"><input name="action" value="yes"></form>'
    visitor.page.route("http://elsewhere.localhost/", lambda route: route.fulfill(body=form, content_type="text/html"))
    by_script(visitor, "http://elsewhere.localhost/", "if (location.host === 'elsewhere.localhost') form.submit()")

    assert alice.events == []


def test_reading_ahead_a_hundred_times_leaves_no_entry(alice: Asked, visitor: Visitor):
    page = visitor.page
    page.goto(alice.house.it.url + "/docs")
    rules = f'{{"prerender":[{{"source":"list","urls":["{alice.link}"]}}]}}'
    page.evaluate(
        """([link, rules]) => {
          const hint = Object.assign(document.createElement("link"), { rel: "prefetch", href: link });
          const ahead = document.createElement("script");
          document.head.append(hint, Object.assign(ahead, { type: "speculationrules", textContent: rules }));
        }""",
        [alice.link, rules],
    )
    for n in range(100):
        status, _ = alice.house.call(alice.house.it.open(alice.link, "HEAD" if n % 2 else "GET"))
        assert status == 200
    page.goto(alice.link)
    page.goto(alice.link)

    assert alice.events == []
    assert alice.standing == {}
