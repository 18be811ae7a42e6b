"""Personal data stays home: masked before a provider sees it, restored in the answer, forgotten with the turn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_EMAIL: Final = re.compile(r"(?<![\w.+-])[A-Za-z0-9._%+-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24}(?![\w-])")
_IBAN: Final = re.compile(r"(?<![A-Za-z0-9])[A-Za-z]{2}\d{2}(?:[ -]?[A-Za-z0-9]){11,30}(?![A-Za-z0-9])")
_CARD: Final = re.compile(r"(?<![\d.,-])\d(?:[ -]?\d){12,18}(?![\d]|[.,-]\d)")
_PHONE: Final = re.compile(
    r"(?<![\w.,+-])(?<!\d[ ])(?:"
    r"(?:\+|00(?=[1-9]\d{0,2}[ ./-]))[1-9]\d{0,2}(?:[ ./-]{0,2}\(?\d{1,5}\)?){2,6}"  # international
    r"|\(\d{2,5}\)[ ./-]?\d{2,5}(?:[ ./-]?\d{2,6}){1,3}"  # (0461) 123 456
    r"|0\d{1,4}[ ./-]\d{2,5}(?:[ ./-]?\d{2,6}){0,3}"  # 030 901820
    r"|\d{3}[ .-]\d{3}[ .-]\d{4}"  # 415-555-2671
    r")(?![\w]|[.,-]\d)"
)
_IBAN_COUNTRIES: Final = {
    15: "NO",
    16: "BE",
    18: "DK FI FO GL NL",
    19: "MK SI",
    20: "AT BA EE KZ LT LU XK",
    21: "CH HR LI LV",
    22: "BG BH CR DE GB GE IE ME RS VA",
    23: "AE GI IL IQ",
    24: "AD CZ ES MD PK RO SA SE SK TN VG",
    25: "PT",
    26: "IS TR",
    27: "FR GR IT MC MR SM",
    28: "AL AZ BY CY DO GT HU LB PL",
    29: "BR EG QA UA",
    30: "JO KW MU",
    31: "MT SC",
}
"""Countries by the length of their IBAN."""
_IBAN_LENGTHS: Final = {country: size for size, row in _IBAN_COUNTRIES.items() for country in row.split()}
_PLACEHOLDER: Final = re.compile(r"\[(?:EMAIL|IBAN|CARD|PHONE)_\d{1,3}\]")
_OPEN: Final = re.compile(r"\[(?:[A-Z]{0,5}|(?:EMAIL|IBAN|CARD|PHONE)_\d{0,3})\Z")


class Masker:
    """The masks of one turn: the same value gets the same placeholder in the question and in the history."""

    def __init__(self) -> None:
        self._placeholders: dict[str, str] = {}
        self._values: dict[str, str] = {}
        self._counts: dict[str, int] = {}

    @property
    def found(self) -> bool:
        """Whether anything was masked."""
        return bool(self._values)

    def mask(self, text: str) -> str:
        """The text with e-mail addresses, IBANs, cards and phone numbers replaced by placeholders such as [EMAIL_1]."""
        if "@" in text:
            text = _EMAIL.sub(lambda match: self._placeholder("EMAIL", match.group()), text)
        if sum(map(str.isdigit, text)) < 7:
            return text
        text = _IBAN.sub(self._iban, text)
        text = _CARD.sub(self._card, text)
        return _PHONE.sub(self._phone, text)

    def restorer(self) -> Restorer:
        """The stage that puts the values back into the answer."""
        return Restorer(self._values)

    def _iban(self, match: re.Match[str]) -> str:
        """The pattern may have run on into following words, so the country's own length decides where it ends."""
        text = match.group()
        size = _IBAN_LENGTHS.get(text[:2].upper(), 0)
        end = _end_of(text, size)
        if not end or not iban_is_valid(text[:end]):
            return text
        return self._placeholder("IBAN", text[:end]) + text[end:]

    def _card(self, match: re.Match[str]) -> str:
        return self._placeholder("CARD", match.group()) if luhn_is_valid(match.group()) else match.group()

    def _phone(self, match: re.Match[str]) -> str:
        digits = sum(map(str.isdigit, match.group()))
        return self._placeholder("PHONE", match.group()) if 7 <= digits <= 15 else match.group()

    def _placeholder(self, kind: str, value: str) -> str:
        if value not in self._placeholders:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            placeholder = f"[{kind}_{self._counts[kind]}]"
            self._placeholders[value], self._values[placeholder] = placeholder, value
        return self._placeholders[value]


class Restorer:
    """Puts masked values back into streamed text, also when a placeholder comes in pieces."""

    stopped = False

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = values
        self._held = ""

    def feed(self, text: str) -> str:
        """What may be shown now."""
        if not self._values or (not self._held and "[" not in text):
            return text
        text = self._held + text
        open_ = _OPEN.search(text)
        cut = open_.start() if open_ else len(text)
        self._held = text[cut:]
        return self._restore(text[:cut])

    def finish(self) -> str:
        """What was kept back."""
        held, self._held = self._held, ""
        return self._restore(held)

    def _restore(self, text: str) -> str:
        return _PLACEHOLDER.sub(lambda match: self._values.get(match.group(), match.group()), text)


def luhn_is_valid(text: str) -> bool:
    """Whether the digits of a text pass the check of payment cards (13 to 19 digits, not all the same)."""
    digits = [int(char) for char in text if char.isdigit()]
    if not 13 <= len(digits) <= 19 or len(set(digits)) == 1:
        return False
    doubled = [digit if at % 2 == 0 else digit * 2 - 9 * (digit > 4) for at, digit in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def iban_is_valid(text: str) -> bool:
    """Whether a text is an IBAN: its country's length and the checksum of ISO 13616."""
    bare = re.sub(r"[ -]", "", text).upper()
    if len(bare) != _IBAN_LENGTHS.get(bare[:2], 0) or not bare.isascii() or not bare.isalnum():
        return False
    return int("".join(str(int(char, 36)) for char in bare[4:] + bare[:4])) % 97 == 1


def _end_of(text: str, size: int) -> int:
    """Where the `size`th letter or digit of a text ends; 0 when there are fewer."""
    seen = 0
    for at, char in enumerate(text):
        seen += char not in " -"
        if size and seen == size:
            return at + 1
    return 0
