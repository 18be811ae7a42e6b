"""Which language a text is in: by script, and among Latin ones by the commonest words.

It decides which stemmer reads a text and whether the encoder understands it. An undecided text is English, the
encoder's own language; a wrong guess costs rank, never an answer.
"""

from __future__ import annotations

import re

SAMPLE_CHARS = 4000
_WORD = re.compile(r"[^\W\d_]+")

# First match wins: kana before Han, since Japanese uses both.
SCRIPTS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("ja", re.compile(r"[\u3040-\u30ff]")),
    ("zh", re.compile(r"[\u3400-\u9fff]")),
    ("ko", re.compile(r"[\uac00-\ud7af]")),
    ("th", re.compile(r"[\u0e00-\u0e7f]")),
    ("hi", re.compile(r"[\u0900-\u097f]")),
    ("ar", re.compile(r"[\u0600-\u06ff]")),
    ("el", re.compile(r"[\u0370-\u03ff]")),
    ("ru", re.compile(r"[\u0400-\u04ff]")),
)

_COMMON = {
    "en": "the of and to in is that for it with as was on are this be by from or an how what do does can i my you",
    "de": "der die das und ist nicht ein eine zu den mit von für auf wie ich im dem sich des was kann sind wird",
    "fr": "le la les et est un une des du que pour dans sur pas je il qui au avec ce comment vous quel sont",
    "es": "el los las y es que una un del por para con no se como qué cómo puedo su al lo son cuál más",
    "it": "il lo gli e è che di una un del per con non si come della sono nel cosa posso alla quale dei",
    "pt": "o os as e é que um uma do da para com não se como dos das no na por são posso qual mais",
    "nl": "de het een en is van dat niet op te zijn voor met ik hoe wat er aan kan om ook mijn welke",
    "ro": "și este nu la din pentru cu pe ce un o în care mai sunt cum se fi să al ale de ca pot",
    "tr": "ve bir bu için ile ne nasıl mi mı de da olarak çok daha gibi var olan en ya ki hangi",  # noqa: RUF001
    "sv": "och att det som en på är av för med till den inte om ett jag hur kan vad har de var",
    "vi": "và của là có không được trong cho các một với những này để người khi đã như làm thế nào tôi",
}
COMMON_WORDS: dict[str, frozenset[str]] = {language: frozenset(words.split()) for language, words in _COMMON.items()}


def detect(text: str, default: str = "en") -> str:
    """The language tag of a text (en, de, zh ...), `default` when nothing speaks for another."""
    sample = text[:SAMPLE_CHARS]
    letters = sum(map(str.isalpha, sample)) or 1
    for language, script in SCRIPTS:
        if len(script.findall(sample)) > letters * 0.2:
            return language
    return _by_words(sample, default)


def _by_words(sample: str, default: str) -> str:
    words = [word.lower() for word in _WORD.findall(sample)]
    scores = {language: sum(word in common for word in words) for language, common in COMMON_WORDS.items()}
    best = max(scores, key=lambda language: scores[language])
    # English wins ties, and a single shared word decides nothing.
    if scores[best] < 2 or scores[best] <= scores.get(default, 0):
        return default
    return best
