"""An owner in the console: signs in, edits, uploads, tries."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.test_demo import make_bot
from tests.running import Running


def sign_in(page: Page, demo: Running) -> None:
    page.goto(demo.ready["console_url"])
    page.get_by_label("E-mail").fill(demo.ready["owner_email"])
    page.get_by_label("Password", exact=True).fill(demo.ready["owner_password"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Bots")).to_be_visible(timeout=10_000)


def test_an_owner_edits_uploads_and_tries(
    demo: Running, page: Page, shot: Callable[[str], bytes], tmp_path: Path
) -> None:
    bot = make_bot(demo)
    sign_in(page, demo)
    shot("console-bots")
    page.goto(f"{demo.ready['console_url']}bots/{bot}")
    page.get_by_role("textbox", name="Persona").fill("You are Sol. You answer in short sentences.")
    page.get_by_role("button", name="Save").first.click()
    expect(page.get_by_text("Saved as version 2")).to_be_visible(timeout=10_000)
    shot("console-persona")
    page.get_by_role("tab", name="Knowledge").click()
    document = tmp_path / "bicycles.md"
    document.write_text("# Aurora\n\nThe Aurora city bicycle costs 749 euros and weighs 14 kilograms.\n")
    page.locator("input[type=file]").first.set_input_files(document)
    expect(page.get_by_text("Ready", exact=True).first).to_be_visible(timeout=60_000)
    shot("console-knowledge")
    page.get_by_role("tab", name="Try").click()
    page.locator(".composer textarea").fill("What does the Aurora bicycle cost?")
    page.locator(".composer textarea").press("Enter")
    expect(page.locator("article.assistant .markdown").last).to_contain_text("749", timeout=20_000)
    shot("console-try")


def test_a_wrong_password_is_told(demo: Running, page: Page) -> None:
    page.goto(demo.ready["console_url"])
    page.get_by_label("E-mail").fill(demo.ready["owner_email"])
    page.get_by_label("Password", exact=True).fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert").first).to_contain_text("wrong", timeout=10_000)
