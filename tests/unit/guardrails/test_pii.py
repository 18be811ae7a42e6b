"""Personal data: what is masked, what is not, and how it comes back."""

from __future__ import annotations

import time

import pytest

from server.guardrails.pii import Masker, iban_is_valid, luhn_is_valid

MASKED = [
    ("Mail me at jane.doe+shop@mail.example.co.uk, please", "Mail me at [EMAIL_1], please"),
    ("Card 4111 1111 1111 1111 was charged", "Card [CARD_1] was charged"),
    ("Card 4111-1111-1111-1111.", "Card [CARD_1]."),
    ("IBAN DE89 3704 0044 0532 0130 00 is mine", "IBAN [IBAN_1] is mine"),
    ("IBAN gb29nwbk60161331926819", "IBAN [IBAN_1]"),
    ("Call +49 30 901820 or (0461) 123 456", "Call [PHONE_1] or [PHONE_2]"),
    ("Call 415-555-2671 now", "Call [PHONE_1] now"),
    ("a@example.com and a@example.com and b@example.com", "[EMAIL_1] and [EMAIL_1] and [EMAIL_2]"),
]
UNTOUCHED = [
    "Order 4111 1111 1111 1112 is late",
    "It costs 1,234,567.89 dollars",
    "On 2026-11-21 at 10:30",
    "My order number is 20261121",
    "Invoice 00123842",
    "Version 1.2.3.4 and 10.0.0.1",
    "DE89 3704 0044 0532 0130 01",
    "Write to @someone",
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_masked_and_restored(text: str, masked: str) -> None:
    masker = Masker()
    assert masker.mask(text) == masked
    assert masker.found
    restorer = masker.restorer()
    assert "".join(restorer.feed(letter) for letter in masked) + restorer.finish() == text


@pytest.mark.parametrize("text", UNTOUCHED)
def test_untouched(text: str) -> None:
    masker = Masker()
    assert masker.mask(text) == text
    assert not masker.found


def test_checksums() -> None:
    assert luhn_is_valid("378282246310005")
    assert not luhn_is_valid("0000 0000 0000 0000")
    assert iban_is_valid("FR14 2004 1010 0505 0001 3M02 606")
    assert not iban_is_valid("XX14 2004 1010 0505 0001 3M02 606")


@pytest.mark.parametrize(
    "text", ["1" * 4000, "1 " * 2000, "a@" * 2000, "DE89" * 1000, "+1 " * 1300, "(" * 4000, "a.b-" * 1000 + "@"]
)
def test_no_text_is_slow(text: str) -> None:
    begun = time.process_time()
    Masker().mask(text)
    assert time.process_time() - begun < 2
