"""The avatar as it is drawn: every animation differs from idle, within its budget."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from playwright.sync_api import Page

ANIMATIONS = ("talk_calm", "talk_explain", "happy", "thumbs_up", "nod", "thinking", "confused", "wave")
PRESETS = ("indigo", "fern", "coral", "amber", "slate", "plum")


def draw(page: Page, gallery: str, query: str) -> bytes:
    page.goto(f"{gallery}?{query}")
    page.wait_for_selector("body[data-ready]", timeout=60_000)
    return page.screenshot()


def test_every_animation_is_drawn_and_differs_from_idle(gallery: str, page: Page) -> None:
    page.set_viewport_size({"width": 320, "height": 340})
    # The same size and moment, so that nothing but the pose can make a difference.
    pictures = {name: draw(page, gallery, f"state={name}&still=1&size=300&t=0.6") for name in ("idle", *ANIMATIONS)}
    assert len(set(pictures.values())) == len(pictures)


@pytest.mark.parametrize("look", PRESETS)
def test_presets_keep_to_the_budget(gallery: str, page: Page, look: str) -> None:
    draw(page, gallery, f"state=idle&still=1&size=300&look={look}")
    stats = json.loads(page.get_attribute("body", "data-stats") or "{}")
    assert stats["triangles"] <= 18_000
    assert stats["drawCalls"] <= 16


def test_contact_sheet(gallery: str, page: Page, shot: Callable[[str], bytes]) -> None:
    page.set_viewport_size({"width": 1280, "height": 960})
    draw(page, gallery, "state=all&still=1")
    shot("avatar-states")
    draw(page, gallery, "state=looks&still=1")
    shot("avatar-looks")
