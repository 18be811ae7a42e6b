"""Languages, by script and by common words."""

from __future__ import annotations

import pytest

from knowledge.language import detect
from knowledge.store.words import document_words, question_words


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("How do I return a jacket to the shop?", "en"),
        ("jacket", "en"),
        ("", "en"),
        ("Wie kann ich eine Jacke an das Geschäft zurückgeben?", "de"),
        ("¿Cómo puedo devolver una chaqueta a la tienda que no me gusta?", "es"),
        ("Comment puis-je rendre une veste qui ne me plaît pas dans le magasin ?", "fr"),
        ("Как вернуть куртку в магазин?", "ru"),
        ("怎么把夹克退回商店", "zh"),
        ("ジャケットを返品するには", "ja"),
        ("كيف أعيد السترة إلى المتجر", "ar"),
        ("Πώς επιστρέφω ένα μπουφάν;", "el"),
        ("ฉันจะคืนเสื้อได้อย่างไร", "th"),
    ],
)
def test_detect(text: str, language: str) -> None:
    assert detect(text) == language


def test_stemmers_bring_forms_together() -> None:
    asked, stands = question_words("returning jackets", "en"), document_words("return a jacket", "en")
    assert set(asked.indices) == set(stands.indices)
    assert not question_words("the of and", "en").indices
    assert question_words("退回商店", "zh").indices
    assert question_words("jak zwrócić kurtkę", "pl").indices
