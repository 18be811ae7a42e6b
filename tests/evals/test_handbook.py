"""Our handbook as a golden set: its questions find their page, everyday questions find nothing.

The floors are what was measured, a little lower: a change that loses more than chance turns this red.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

import knowledge
from knowledge.rank import Found
from server.chat.insight import Insight
from server.chat.prompt import MAX_PASSAGE_CHARS
from server.chat.sources import passages
from server.llm.dialects.rules import compose
from server.llm.messages import Grounding
from server.llm.phrases import phrases
from server.storage import bots
from server.storage.database import Database
from server.storage.migrate import migrate
from server.storage.valkey import open_valkey
from tests.integration.conftest import valkey_url  # noqa: F401 - a fixture
from tests.integration.knowing import Knowing, knowing

HANDBOOK = Path(knowledge.__file__).parent / "handbook"
GOLDEN = Path(__file__).with_name("handbook.jsonl")
INSIGHT = Insight()
FIRST, AMONG_THREE = 0.88, 0.97
EVERYDAY = (
    "what is the capital of France",
    "how do I bake bread",
    "who won the world cup in 2014",
    "what is the weather tomorrow",
    "tell me a joke",
    "how tall is mount everest",
    "what is the meaning of life",
    "how do I cook rice",
    "best restaurants in Paris",
    "how many legs does a spider have",
    "what is the price of bitcoin",
    "translate good morning to spanish",
    "what time is it in tokyo",
    "who is the president of the united states",
    "how do I change a tire",
    "what is the speed of light",
    "can you book me a flight to Rome",
    "do you sell shoes",
    "where is my order",
    "how do I reset my iphone",
    "what's your refund policy",
    "do you ship to Canada",
    "what is the square root of 16",
    "how to lose weight",
    "who wrote Hamlet",
)


@pytest.fixture
async def handbook(tmp_path: Path, valkey_url: str) -> AsyncIterator[Knowing]:  # noqa: F811
    db, valkey = Database(f"sqlite+aiosqlite:///{tmp_path / 'eval.db'}"), await open_valkey(valkey_url)
    await migrate(db)
    async with knowing(db, valkey, tmp_path) as room:
        for page in sorted(HANDBOOK.glob("*.md")):
            assert (await room.index(page.name, page.read_bytes())).status == "ready"
        yield room
    await valkey.close()
    await db.close()


async def _find(room: Knowing, question: str) -> tuple[Found, ...]:
    epoch = await bots.knowledge_epoch(room.db, room.tenant, room.bot)
    for _ in range(10):
        results = await room.library.search(room.scope, question, epoch=epoch)
        if results.degraded is None:
            return results.found
    raise AssertionError(f"degraded ten times: {results.degraded}")


def _is_right(found: Found, row: dict[str, str], names: Mapping[str, str]) -> bool:
    return names[found.document_id] == row["document"] and row["must_contain"].lower() in found.text.lower()


async def test_questions_find_their_page_and_others_nothing(handbook: Knowing) -> None:
    from server.storage.documents import all_documents

    names: dict[str, str] = {
        row.id: row.name for row in await all_documents(handbook.db, handbook.tenant, handbook.bot)
    }
    rows = [json.loads(line) for line in GOLDEN.read_text().splitlines()]
    right = [[_is_right(found, row, names) for found in await _find(handbook, row["question"])] for row in rows]
    first = sum(bool(hits and hits[0]) for hits in right) / len(rows)
    among = sum(any(hits[:3]) for hits in right) / len(rows)
    print(f"\nhandbook: {len(rows)} questions, first {first:.3f}, among three {among:.3f}")
    assert first >= FIRST
    assert among >= AMONG_THREE
    wrong = [question for question in EVERYDAY if await _find(handbook, question)]
    print(f"everyday: {len(EVERYDAY)} questions, answered {wrong}")
    assert not wrong


ANSWERS: tuple[tuple[str, str], ...] = (
    ("How do I add the widget to my site?", "paste this line of HTML"),
    ("How do I put Parlour on my website?", "paste this line of HTML"),
    ("what dos it cost", "free of charge"),
    ("does nova speak out loud?", "Not in this version."),
    ("what is the maximum message length?", "4,000 characters"),
    ("does it run on windows", "does not run on Windows"),
    ("How do I upgrade?", "make run"),
    ("how do i run it on port 9000", "PARLOUR_PORT"),
    ("how do I reset my password", "ask whoever runs the server"),
    ("How do I use Claude?", "OPENROUTER_API_KEY"),
    ("How do I make it speak German?", "languages of the bot"),
    ("Which cookies does the chat set?", "sets no cookies"),
    ("Do you store cookies?", "sets no cookies"),
    ("Does the chat work with the keyboard and a screen reader?", "keyboard alone"),
    ("Is the widget accessible?", "keyboard alone"),
    ("Does my data leave the machine?", "does not leave the machine"),
    ("are you a human?", "an AI assistant"),
    ("can I talk to a human", "Not in this version."),
    ("Can I upload Excel files?", "cannot be read"),
    ("which model does it use by default", "openai/gpt-5.6-luna"),
    ("how do i sign in", "The first start prints a login"),
    ("How do I set a monthly budget?", "Edit the monthly budget of the bot"),
    ("My document is stuck in queued", "waits for the worker"),
    ("How do I delete a bot?", "Delete it in the console"),
    ("Does it work on phones?", "narrow screen"),
    ("which languages are supported?", "language of the visitor"),
    ("can i use it offline", "after the installation"),
    ("how much ram", "1.2 GB"),
    ("the bubble is missing", "Check three things"),
    ("Where are my documents stored?", "one folder"),
)
REFUSED = (
    *EVERYDAY,
    "How do I upload a video?",
    "Can I pay with Bitcoin?",
    "Does Parlour support Slack?",
    "How do I change the font?",
    "How do I export conversations?",
    "Does it integrate with Zendesk?",
    "How do I delete my account?",
    "How do I change my phone number?",
    "What is your phone number?",
    "How do I create a coupon?",
)
DEMO_PAGE = Path(__file__).parents[2] / "widget" / "demo" / "index.html"
_ASKED = re.compile(r'data-ask="([^"]+)"')


async def _answer(room: Knowing, question: str) -> str:
    """What the demo without a key says."""
    reading = INSIGHT.read(question, "en")
    found = passages(await _find(room, question), MAX_PASSAGE_CHARS)
    return compose(Grounding(question, reading.intent, "Nova", "", reading.language, found))


async def test_the_demo_answers_what_owners_ask_and_refuses_the_rest(handbook: Knowing) -> None:
    wrong = [(q, said) for q, part in ANSWERS if part not in (said := await _answer(handbook, q))]
    assert not wrong
    refusals = {phrases("en").nothing_found, phrases("en").complaint, phrases("en").about.format(bot="Nova")}
    invented = [(q, said) for q in REFUSED if (said := await _answer(handbook, q)) not in refusals]
    assert not invented
    for question in map(html.unescape, _ASKED.findall(DEMO_PAGE.read_text())):
        said = await _answer(handbook, question)
        assert re.search(r"\[\d\]", said), (question, said)


async def test_a_german_question_is_refused_in_german(handbook: Knowing) -> None:
    assert INSIGHT.read("Was kostet Parlour?", "en").language == "de"
    assert "[" in (said := await _answer(handbook, "Was kostet Parlour?")) or said == phrases("de").nothing_found
