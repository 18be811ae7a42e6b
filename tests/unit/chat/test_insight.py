"""Intent, language, sentiment and urgency of what visitors write."""

from __future__ import annotations

import time

import pytest

from server.chat.insight import INTENTS, Insight, intent_of, language_of, sentiment_of

INSIGHT = Insight()

INTENT_OF = {
    "greeting": [
        "Hello!",
        "hi there",
        "Good morning",
        "Hallo, guten Tag",
        "¡Hola!",
        "Bonjour",
        "Buongiorno",
        "Olá, tudo bem?",
        "ciao",
    ],
    "farewell": [
        "bye",
        "ok thanks bye",
        "Auf Wiedersehen!",
        "adiós",
        "Merci, au revoir",
        "arrivederci",
        "até logo",
        "ciao ciao",
    ],
    "thanks": [
        "thanks a lot",
        "Thank you so much!",
        "Danke schön!",
        "muchas gracias",
        "merci beaucoup",
        "grazie mille",
        "obrigada",
    ],
    "confirm": [
        "yes please",
        "ok",
        "Ja, gerne",
        "sí",
        "oui",
        "va bene",
        "sim",
    ],
    "complaint": [
        "This is terrible, my order never arrived!",
        "thank you but it still doesn't work",
        "Great, another outage. Just what I needed.",
        "Das ist eine Frechheit",
        "claro que no funciona",
        "c'est inacceptable",
        "è vergognoso",
        "isso é péssimo",
    ],
    "explanation": [
        "Hi, how do I get a refund?",
        "explain the billing",
        "Wie kann ich mein Passwort ändern?",
        "¿Cómo puedo pagar?",
        "Comment faire un retour ?",
        "Come posso pagare?",
        "Como faço para cancelar?",
        "how do I fix a broken screen?",
    ],
    "question": [
        "What is the refund policy?",
        "how long does delivery take?",
        "Wann kommt das Paket?",
        "¿Cuánto cuesta el envío?",
        "Combien ça coûte ?",
        "Quanto costa?",
        "Onde fica a loja?",
        "Si no me gusta, ¿puedo devolverlo?",
        "Hi, is it free",
    ],
    "other": [
        "Refund policy",
        "my order number is twelve",
        "Rückgabe",
    ],
}


@pytest.mark.parametrize(("intent", "text"), [(intent, text) for intent, texts in INTENT_OF.items() for text in texts])
def test_intent(intent: str, text: str) -> None:
    assert intent_of(text) == intent


def test_every_intent_is_tested() -> None:
    assert set(INTENT_OF) == set(INTENTS)


@pytest.mark.parametrize(
    ("text", "hint", "language"),
    [
        ("What is the price of it?", "de", "en"),
        ("Was kostet der Versand und wie lange dauert es?", None, "de"),
        ("¿Cuánto cuesta el envío?", "en", "es"),
        ("Quand est-ce que vous livrez ?", None, "fr"),
        ("Quando arriva il mio pacco?", None, "it"),
        ("Quanto custa o envio para você?", None, "pt"),
        ("Danke schön!", "en", "de"),
        ("配送について教えてください", "en", "ja"),
        ("退货政策是什么", "en", "zh"),
        ("Какова стоимость?", None, "ru"),
        ("12345", "pt-BR", "pt"),
        ("12345", None, "en"),
        ("", "xx", "xx"),
    ],
)
def test_language(text: str, hint: str | None, language: str) -> None:
    assert language_of(text, hint) == language


@pytest.mark.parametrize(
    "text",
    [
        "To cancel your subscription, kill the process and delete the file.",
        "The defect rate dropped and the error is gone.",
        "Please help me with my credit card.",
        "How do I report a fraudulent charge?",
        "Good morning, I need an invoice.",
        "I would like to dispute a payment.",
        "My card was stolen.",
    ],
)
def test_the_words_of_the_trade_are_no_feelings(text: str) -> None:
    assert INSIGHT.read(text).sentiment == "neutral"


@pytest.mark.parametrize(
    ("text", "sentiment"),
    [
        ("That's great, I love it!", "positive"),
        ("Thank you so much, you are wonderful!", "positive"),
        ("I am so angry, this is a fraud!", "negative"),
        ("Great, another outage. Just what I needed.", "negative"),
        ("Das ist super, danke!", "positive"),
        ("Das ist schrecklich, ich bin enttäuscht.", "negative"),
        ("Je suis très déçue et furieuse", "negative"),
        ("ありがとうございます", "positive"),
        ("配送太慢了 😡", "negative"),
        ("配送速度非常快,客服人员也很耐心地回答了问题,谢谢你们", "positive"),
    ],
)
def test_sentiment(text: str, sentiment: str) -> None:
    assert INSIGHT.read(text).sentiment == sentiment


def test_bad_news_and_urgency_are_seen() -> None:
    reading = INSIGHT.read("My card was stolen, I need help immediately")
    assert (reading.urgency, reading.bad_news) == ("high", True)
    assert INSIGHT.read("Where is the shop?").urgency == "normal"


def test_a_score_is_a_word() -> None:
    assert [sentiment_of(score) for score in (-1, -0.35, -0.3, 0, 0.35)] == [
        "negative",
        "negative",
        "neutral",
        "neutral",
        "positive",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "?",
        "!" * 4000,
        "a" * 4000,
        "no " * 1300,
        "@" * 4000,
        "hi " * 1300,
        "\u0301" * 100,
        "'" * 4000,
        "😀" * 4000,
        "😀. " * 1300,
    ],
)
def test_odd_texts_are_read_quickly(text: str) -> None:
    begun = time.process_time()
    reading = INSIGHT.read(text)
    assert reading.intent in INTENTS
    assert -1 <= reading.score <= 1
    assert time.process_time() - begun < 0.5


@pytest.mark.parametrize(
    ("text", "language"),
    [("no that's wrong", "en"), ("no", "en"), ("Was kostet Parlour?", "de"), ("no funciona", "es"), ("Parlour", "en")],
)
def test_one_word_that_languages_share_decides_nothing(text: str, language: str) -> None:
    assert language_of(text, "en") == language
