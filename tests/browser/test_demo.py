"""A visitor on the demo page: asks, reads, loses the network, comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

import httpx
from playwright.sync_api import Page, expect

from tests.browser.conftest import LONG_ANSWER, Site
from tests.proxy import Line
from tests.running import Running

Shot = Callable[[str], bytes]
ANSWER = "article.assistant .markdown"


def open_chat(page: Page) -> None:
    page.evaluate("window.Parlour('open')")
    expect(page.locator(".composer textarea")).to_be_visible()


def ask(page: Page, text: str) -> None:
    page.locator(".composer textarea").fill(text)
    page.locator(".composer textarea").press("Enter")


def answers(page: Page) -> list[str]:
    return [text.strip() for text in page.locator(ANSWER).all_inner_texts()]


def test_a_question_is_answered_with_sources_and_the_avatar_moves(demo: Running, page: Page, shot: Shot) -> None:
    page.goto(demo.ready["demo_url"])
    shot("demo-page")
    assert page.evaluate("document.cookie + JSON.stringify(localStorage) + JSON.stringify(sessionStorage)") == "{}{}"
    open_chat(page)
    expect(page.locator(".stage canvas")).to_be_visible(timeout=20_000)
    page.wait_for_timeout(1500)
    shot("greeting")
    asked = time.monotonic()
    ask(page, "Which file formats can I upload?")
    expect(page.locator(ANSWER).last).to_contain_text("PDF", timeout=15_000)
    print(f"answer shown after {time.monotonic() - asked:.2f} s")
    shot("streaming")
    expect(page.locator(".sources .chip").first).to_be_visible(timeout=15_000)
    expect(page.locator(".offers button").first).to_be_visible()
    page.locator(".sources .chip").first.click()
    expect(page.locator(".quote")).to_contain_text("PDF")
    shot("citation")


def test_the_visitor_comes_back_to_the_same_conversation(demo: Running, page: Page) -> None:
    page.goto(demo.ready["demo_url"])
    open_chat(page)
    ask(page, "How do I use my own OpenAI key?")
    expect(page.locator(ANSWER).last).to_contain_text("OPENAI_API_KEY", timeout=15_000)
    expect(page.locator(".sources .chip").first).to_be_visible(timeout=15_000)
    before = answers(page)
    page.reload()
    open_chat(page)
    expect(page.locator(ANSWER).last).to_contain_text("OPENAI_API_KEY", timeout=15_000)
    assert answers(page) == before


def test_a_cut_line_loses_and_doubles_nothing(slow_site: Running, line: Line, page: Page, shot: Shot) -> None:
    page.goto(slow_site.ready["demo_url"])
    open_chat(page)
    ask(page, "Tell me all words")
    expect(page.locator(ANSWER).last).to_contain_text("word12", timeout=20_000)
    for _ in range(3):
        line.cut()
        page.wait_for_timeout(500)
        line.heal()
        page.wait_for_timeout(900)
    shot("after-cuts")
    expect(page.locator(ANSWER).last).to_contain_text("word159.", timeout=30_000)
    assert answers(page)[-1] == LONG_ANSWER
    assert len(page.locator("article.user").all()) == 1


def test_two_tabs_show_the_same_text(slow_site: Running, page: Page) -> None:
    """A second tab, opened in the middle of an answer, ends with the same text word for word."""
    page.goto(slow_site.ready["demo_url"])
    open_chat(page)
    ask(page, "Tell me all words once more")
    expect(page.locator(ANSWER).last).to_contain_text("word5", timeout=20_000)
    other = page.context.new_page()
    other.goto(slow_site.ready["demo_url"])
    open_chat(other)
    for tab in (page, other):
        expect(tab.locator(ANSWER).last).to_contain_text("word159.", timeout=30_000)
    assert answers(page)[-1] == answers(other)[-1] == LONG_ANSWER
    other.close()


def test_stop_ends_the_answer(slow_site: Running, page: Page) -> None:
    page.goto(slow_site.ready["demo_url"])
    open_chat(page)
    ask(page, "Tell me all words but I shall stop you")
    expect(page.locator(ANSWER).last).to_contain_text("word10", timeout=20_000)
    page.locator(".composer .go").click()
    expect(page.locator(".note", has_text="topped")).to_be_visible(timeout=5_000)
    stopped = answers(page)[-1]
    page.wait_for_timeout(1000)
    assert answers(page)[-1] == stopped
    assert len(stopped) < len(LONG_ANSWER)


def make_bot(demo: Running, **config: object) -> str:
    answer = httpx.post(
        f"{demo.url}/v1/bots",
        json={"config": {"name": "Sol", "greeting": "Welcome to the shop!", **config}},
        headers={"Authorization": f"Bearer {demo.ready['api_key']}"},
        trust_env=False,
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def page_with(demo: Running, bot: str) -> str:
    return (
        "<!doctype html><html><head><title>Shop</title></head><body><h1>Shop</h1>"
        f'<script async src="{demo.url}/widget/v1/loader.js" data-bot="{bot}"></script></body></html>'
    )


def test_it_works_pasted_into_an_allowed_site_with_a_strict_policy(
    demo: Running, site: Site, page: Page, shot: Shot
) -> None:
    bot = make_bot(demo, allowed_origins=[site.origin])
    server, sockets = demo.url, demo.url.replace("http", "ws", 1)
    site.headers = {"Content-Type": "text/html"}  # no charset, on purpose
    site.headers["Content-Security-Policy"] = f"default-src 'none'; script-src {server}; connect-src {server} {sockets}"
    site.body = page_with(demo, bot)
    page.goto(site.origin)
    launcher = page.get_by_role("button", name="chat", exact=False).first
    expect(launcher).to_be_visible(timeout=10_000)
    launcher.click()
    expect(page.locator(".transcript")).to_contain_text("Welcome to the shop!", timeout=10_000)
    ask(page, "Hello")
    expect(page.locator(ANSWER).last).to_contain_text("Welcome", timeout=10_000)
    page.wait_for_timeout(1200)
    shot("another-site")


def test_a_site_that_is_not_listed_shows_nothing(demo: Running, site: Site, context: object, browser: object) -> None:
    bot = make_bot(demo, allowed_origins=["https://shop.example"])
    site.body = page_with(demo, bot)
    page = context.new_page()  # type: ignore[attr-defined]
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.goto(site.origin)
    page.wait_for_timeout(2500)
    assert page.get_by_role("button").count() == 0
    assert any("origin" in text.lower() for text in said), said
