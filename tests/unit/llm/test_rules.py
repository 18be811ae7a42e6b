from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.llm.catalog import open_targets
from server.llm.dialects.rules import compose, stream, words
from server.llm.messages import CompletionRequest, Delta, Finish, Grounding, Passage, TextDelta, Usage
from server.llm.phrases import PHRASES, phrases
from server.llm.plaintext import blocks, plain, sentences
from server.llm.terms import stem

INSTALL = """# Installing Parlour

## Requirements

Parlour runs on any machine with Python 3.11 or newer. You need about 2 GB of memory, e.g. for the embedding
model. It does **not** need a GPU.

## Quick start

To install Parlour, do the following:

1. Clone the repository.
2. Run `make run`.
3. Open the address of the [demo page](http://example.com/a) that it prints.

The first start takes a few minutes, because models are downloaded. A second start is up in under 5 s.

Paste this line into your page:

```html
<script src="https://your.host/widget.js" data-bot="bot_1"></script>
```
"""
PRICING = """## Pricing and refunds

We charge $29 per month for the Starter plan and $99 per month for the Team plan. You can cancel at any time.
Refunds are made within 14 days of the purchase. They go to the card that was charged.

| Plan | Price | Bots |
|------|------:|------|
| Starter | $29 | 1 |
| Team | $99 | 10 |
"""
DOCUMENTS = """and therefore the visitor sees nothing of it. Documents can be uploaded as TXT, Markdown, HTML, PDF
and DOCX. The largest file is 20 MB. Uploaded files are stored encrypted on the server's disk. To delete a document,
open the console and choose Delete; it is gone from every answer within a minute. The avatar has nine animations: idle,
wave and oth"""
HOURS = """# Öffnungszeiten
Unser Laden ist montags bis freitags von 9 bis 18 Uhr geöffnet. Samstags schließen wir um 14 Uhr. An Feiertagen bleibt
z. B. der Laden geschlossen.
"""
PASSAGES = (
    Passage(1, "Getting started", "Installing Parlour", INSTALL),
    Passage(2, "Pricing", "Plans", PRICING),
    Passage(3, "Documents", "p. 3", DOCUMENTS),
    Passage(4, "Öffnungszeiten", "", HOURS),
)


def answer(question: str, language: str = "en", passages: tuple[Passage, ...] = PASSAGES) -> str:
    return compose(Grounding(question, "question", "Parly", "", language, passages))


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What does it cost?", "We charge $29 per month for the Starter plan and $99 per month for the Team plan. [2]"),
        (
            "When can I get my money back?",
            "Refunds are made within 14 days of the purchase. [2] They go to the card that was charged. [2]",
        ),
        ("How big may a file be?", "The largest file is 20 MB. [3]"),
        ("Are my files encrypted?", "Uploaded files are stored encrypted on the server's disk. [3]"),
        ("which python version do I need?", "Parlour runs on any machine with Python 3.11 or newer. [1]"),
        ("How long does a second start take?", "A second start is up in under 5 s. [1]"),
        ("can i cancel", "You can cancel at any time. [2]"),
        (
            "How do I delete a document?",
            "To delete a document, open the console and choose Delete; "
            "it is gone from every answer within a minute. [3]",
        ),
    ],
)
def test_questions_get_the_right_sentence(question: str, expected: str) -> None:
    assert answer(question) == expected


def test_formats_are_found_under_their_own_words() -> None:
    assert answer("Which file formats can I upload?").startswith(
        "Documents can be uploaded as TXT, Markdown, HTML, PDF and DOCX. [3]"
    )


def test_steps_stay_together() -> None:
    assert answer("How do I install Parlour?") == (
        "To install Parlour, do the following:\n"
        "1. Clone the repository.\n"
        "2. Run `make run`.\n"
        "3. Open the address of the demo page that it prints. [1]"
    )


def test_code_follows_its_lead_in() -> None:
    said = answer("How do I embed the widget on my website?")
    assert said.startswith("Paste this line into your page: [1]\n```\n<script")


def test_a_sentence_that_points_back_brings_the_one_before_it() -> None:
    assert answer("Do I need a GPU?") == (
        "You need about 2 GB of memory, e.g. for the embedding model. [1] It does not need a GPU. [1]"
    )


def test_german() -> None:
    assert "Samstags schließen wir um 14 Uhr. [4]" in answer("Wann habt ihr samstags geöffnet?", "de")
    assert answer("Wie sind die Öffnungszeiten?", "de").endswith("von 9 bis 18 Uhr geöffnet. [4]")


@pytest.mark.parametrize(
    "question",
    [
        "What is the capital of France?",
        "Who won the world cup in 2014?",
        "Can I pay with Bitcoin?",
        "Tell me a joke about cats",
        "What is your CEO's name?",
        "Write a poem about the sea",
        "xyzzy plugh",
    ],
)
def test_what_no_passage_says_is_not_answered(question: str) -> None:
    assert answer(question) == PHRASES["en"].nothing_found


def test_passages_as_our_own_parser_cuts_them() -> None:
    start = "Clone the repository and run one command:\n\nmake run\n\nThe first start makes a virtual environment."
    prices = "Plan | Price | Bots\nStarter | $29 | 1\nTeam | $99 | 10"
    passages = (Passage(1, "Getting started", "How do I install it?", start), Passage(2, "Prices", "", prices))
    assert answer("How do I install it?", passages=passages) == (
        "Clone the repository and run one command: [1]\n```\nmake run\n```"
    )
    assert answer("What is the price of the team plan?", passages=passages) == "Team: Price $99, Bots 10 [2]"


def test_what_stands_under_the_question_as_heading_is_its_answer() -> None:
    stop = "Press Ctrl-C in the terminal. The server finishes running answers and stops its parts in order."
    passages = (Passage(1, "Start", "Start > How do I stop the server?", stop),)
    assert answer("How do I stop the server?", passages=passages).startswith("Press Ctrl-C in the terminal. [1]")


def test_names_of_settings_are_not_their_parts() -> None:
    passages = (Passage(1, "Ports", "", "Set `PARLOUR_PORT` to choose the port."),)
    assert answer("What is Parlour?", passages=passages) == PHRASES["en"].nothing_found


def test_no_passages_no_answer() -> None:
    assert answer("What does it cost?", "fr", ()) == PHRASES["fr"].nothing_found


@given(st.text(max_size=60), st.lists(st.text(max_size=300), max_size=3))
def test_every_word_of_an_answer_is_the_passages_own(question: str, texts: list[str]) -> None:
    passages = tuple(Passage(n, f"t{n}", "", text) for n, text in enumerate([*texts, INSTALL, PRICING], 1))
    said = answer(question, passages=passages)
    if said in (PHRASES["en"].nothing_found, PHRASES["en"].about.format(bot="Parly")):
        return
    source = re.sub(r"\W+", " ", plain(" ".join(passage.text for passage in passages)))
    known = set(source.split()) | {str(n) for n in range(1, 99)}
    assert set(re.sub(r"\W+", " ", said).split()) <= known
    assert re.search(r"\[\d+\]", said)


# Set phrases ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("language", ["en", "de", "es", "fr", "it", "pt"])
def test_every_language_greets_thanks_and_takes_leave(language: str) -> None:
    said = {compose(Grounding("x", intent, "Ada", "", language)) for intent in ("greeting", "farewell", "thanks")}
    assert len(said) == 3
    assert "Ada" in compose(Grounding("hello", "greeting", "Ada", "", language))


def test_a_yes_and_a_complaint_without_an_answer_have_their_phrase() -> None:
    assert compose(Grounding("yes", "confirm", "Ada", "", "en")) == PHRASES["en"].confirm
    assert compose(Grounding("it broke my car", "complaint", "Ada", "", "de")) == PHRASES["de"].complaint


def test_the_bots_own_greeting_wins() -> None:
    assert compose(Grounding("hi", "greeting", "Ada", "Welcome to the shop!", "en")) == "Welcome to the shop!"


def test_language_tags_and_unknown_languages() -> None:
    assert phrases("pt-BR") is PHRASES["pt"]
    assert phrases("DE_at") is PHRASES["de"]
    assert phrases("tlh") is PHRASES["en"]


def test_a_question_about_nothing_gets_an_introduction() -> None:
    assert answer("What can you do?") == PHRASES["en"].about.format(bot="Parly")


# Streaming ------------------------------------------------------------------------------------------------------------
@given(st.text())
def test_words_joined_are_the_text(text: str) -> None:
    assert "".join(words(text)) == text


async def test_it_streams_by_word_and_finishes() -> None:
    request = CompletionRequest((), (), Grounding("hi", "greeting", "Ada", "Hello there, friend.", "en"), 10)
    deltas: list[Delta] = []
    rules = open_targets({})[0]
    async for batch in stream(request, rules, None, word_s=0):  # type: ignore[arg-type]
        deltas.extend(batch)
    assert deltas == [TextDelta("Hello"), TextDelta(" there,"), TextDelta(" friend."), Usage(), Finish("stop")]


# Plain text -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("It costs 3.50 dollars. See e.g. the list.", ["It costs 3.50 dollars.", "See e.g. the list."]),
        ("Dr. Smith came. He left.", ["Dr. Smith came.", "He left."]),
        ('He said "Stop." Then he left.', ['He said "Stop."', "Then he left."]),
        ("Use v1.2. It is new.", ["Use v1.2.", "It is new."]),
        ("Das gilt z. B. immer. Sonst nicht.", ["Das gilt z. B. immer.", "Sonst nicht."]),
        ("これは本です。はい。", ["これは本です。", "はい。"]),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert sentences(text) == expected


def test_sentences_cut_off_by_the_passage_are_left_out() -> None:
    found = [
        sentence for block in blocks("and so on. This is whole. And this is not wh") for sentence in block.sentences
    ]
    assert found == ["This is whole."]


def test_blocks_of_markdown() -> None:
    found = blocks(PRICING)
    assert [(block.kind, block.heading) for block in found] == [
        ("text", "Pricing and refunds"),
        ("table", "Pricing and refunds"),
    ]
    assert found[1].sentences == ("Starter: Price $29, Bots 1", "Team: Price $99, Bots 10")


def test_lists_know_their_lead_and_their_order() -> None:
    (lead, steps) = blocks("You need:\n\n- one\n  and a half\n- two\n")
    assert lead.sentences == ("You need:",)
    assert (steps.kind, steps.sentences, steps.lead, steps.ordered) == (
        "list",
        ("one and a half", "two"),
        "You need:",
        False,
    )
    assert blocks("1) a\n2) b")[0].ordered


@given(st.text(alphabet="#-*`|>~= \n\tabc.:1)[]()<", max_size=200))
def test_no_markdown_breaks_the_reader(text: str) -> None:
    for block in blocks(text):
        assert block.sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a **b** *c* [d](http://e) ![f](g)", "a b c d f"),
        ("`a*b*c` <b>x</b>", "`a*b*c` x"),
        ("snake_case and 2 * 3 * 4", "snake_case and 2 * 3 * 4"),
    ],
)
def test_plain(text: str, expected: str) -> None:
    assert plain(text) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("refund", "refunds"),
        ("install", "installation"),
        ("install", "installing"),
        ("upload", "uploaded"),
        ("delete", "deleting"),
        ("document", "documents"),
        ("setting", "settings"),
        ("price", "prices"),
        ("city", "cities"),
    ],
)
def test_stems_agree(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("are you a human?", "en"),
        ("Am I talking to a bot?", "en"),
        ("Bist du ein Mensch?", "de"),
        ("¿Eres humano?", "es"),
    ],
)
def test_who_asks_for_a_human_learns_that_this_is_none(text: str, language: str) -> None:
    assert answer(text, language) == PHRASES[language].human.format(bot="Parly")


def test_what_is_to_be_done_must_be_what_the_passage_does() -> None:
    passages = (Passage(1, "Data", "How do I delete a conversation?", "Send a request to remove it.", 0.72),)
    assert answer("How do I export a conversation?", passages=passages) == PHRASES["en"].nothing_found
    assert answer("How do I delete a conversation?", passages=passages) == "Send a request to remove it. [1]"


def test_the_verdict_that_a_certain_answer_opens_with_is_told() -> None:
    text = "Not in this version. A visitor cannot talk to a human in the chat."
    passages = (Passage(1, "Questions", "Can a human take over?", text, 0.84),)
    assert answer("can I talk to a human", passages=passages).startswith("Not in this version. [1] A visitor")


def test_the_names_of_columns_count_for_their_rows() -> None:
    table = "Lamp | Price | Colour\nLuna | 49 euros | white\nSol | 79 euros | gold"
    passages = (Passage(1, "Shop", "Price", table, 0.6),)
    assert answer("How much is the Luna lamp?", passages=passages) == "Luna: Price 49 euros, Colour white [1]"
