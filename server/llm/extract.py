"""A short answer made of the passages' own sentences, each with its citation; never a word that is not theirs.

The question's terms are stemmed and weighed by how rare they are in the passages; a sentence scores by the share of
that weight it covers, its heading and title helping. Below a floor there is no answer, which is the honest one.
"""

from __future__ import annotations

import math
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from server.llm.messages import Passage
from server.llm.plaintext import Block, blocks
from server.llm.terms import QUESTION_HOW, STOPWORDS, related, stem

MAX_SENTENCES: Final = 3
MAX_CHARS: Final = 600
MAX_LIST_CHARS: Final = 1100
FLOOR: Final = 0.45
"""The share of the question's weight that the best sentence must cover, headings counted half."""
OWN_FLOOR: Final = 0.2
"""The share it must cover in its own words."""
NEAR_BEST: Final = 0.6
AS_GOOD: Final = 0.88
UNKNOWN_SHARE: Final = 0.8
"""What an asked word weighs that no passage holds, when only words speak for the passages."""
UNKNOWN_SHARE_SURE: Final = 0.15
"""The same when retrieval is sure of the best passage: then the word is said there in other words."""
UNSURE_SCORE: Final = 0.52
SURE_SCORE: Final = 0.70
LIKELY_SCORE: Final = 0.60
"""From here the opening under a heading that says all that is asked is believed."""
CERTAIN_SCORE: Final = 0.76
"""From here the meaning alone is enough, whatever the words."""
SURE_BONUS: Final = 0.5
"""For the opening of the passage that retrieval is sure of, when its heading shares a word with the question."""
HEADING_SHARE: Final = 0.55
KNOWN_SHARE: Final = 0.6
"""How many of the asked words a passage must hold, unless the meaning alone is enough."""
OPENING_FLOOR: Final = 0.5
"""The share that the first sentence under a heading must cover when only the heading and title carry the words."""
LONE_FLOOR: Final = 0.6
WHOLE_HEADING: Final = 0.68
FIT_BONUS: Final = 0.25
DEFINING_BONUS: Final = 0.3
"""When a question has several terms, a sentence with only one of them must carry most of the weight."""
RELATED_SHARE: Final = 0.7
SAME: Final = 0.6
SHORT_CHARS: Final = 60
CERTAIN_CHARS: Final = 420
"""How much of the passage that certainly answers is told from its opening on."""

_TOKEN = re.compile(r"[^\W_]+(?:[_.@'\u2019-]+[^\W_]+)*")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
_ANAPHORA = re.compile(
    r"(yes|no|ja|nein|it|its|this|that|these|those|they|them|he|she|such|then|also|however|but|so|otherwise|instead|"
    r"diese[rsmn]?|dies|sie|er|es|dann|auch|aber|esto|esta|estos|ese|eso|también|cela|ceci|ils|elles|il|elle|"
    r"questo|questa|isto|isso|este|ele|ela)\b",
    re.IGNORECASE,
)
_VERDICT = re.compile(r"(?:yes|no|ja|nein|sí|oui|non|sì|sim|não)[.,!]", re.IGNORECASE)
_NUMERIC = re.compile(
    r"\b(how (?:much|many|long|often|fast|big|large|old|far|soon)|when|what time|which (?:day|year|port|version)|"
    r"price|cost|limit|wie ?(?:viel|lange|oft|gro(?:ß|ss)|schnell)|wann|cuánt\w+|cuándo|combien|quand|"
    r"quanto|quanti|quando)\b",
    re.IGNORECASE,
)


_REASON = re.compile(r"\W*(?:why|how come|warum|wieso|weshalb|por qu[eé]|pourquoi|perch[eé]|waarom)\b", re.IGNORECASE)
_HOW_TO = re.compile(
    r"\bhow (?:do|can|to|could|should|would|shall)(?: (?:i|we|you|one))? (?:also )?([a-z]+)\b", re.IGNORECASE
)
VAGUE_VERBS: Final = frozenset(
    {"use", "run", "get", "make", "set", "put", "do", "have", "turn", "go", "see", "find", "add", "be", "start", "let"}
)
"""Verbs that say too little to be asked of a passage."""
_DEFINITION = re.compile(
    r"\s*(?:what|who)(?:'s| is| are)\b|\s*(?:was|wer) (?:ist|sind)\b|\s*¿?(?:qu[eé]|qui[eé]n) (?:es|son)\b|"
    r"\s*qu['\u2019]est-ce|\s*(?:che )?cos['\u2019 ]?[aè]|\s*o que (?:é|são)\b",
    re.IGNORECASE,
)
_SUBJECT = re.compile(
    r"(?:(?:the|an?|der|die|das|ein|eine|el|la|los|las|le|les|il|lo|os?|as?) )?(.{2,60}?) "
    r"(?:is|are|ist|sind|es|son|est|sont|è|sono|é|são|means|stands for)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """One candidate: its place in the passages, the terms of its own and of its surroundings, and its score."""

    text: str
    passage: int
    n: int
    block: int
    at: int
    kind: str
    own: frozenset[str]
    around: frozenset[str]
    head: frozenset[str] = frozenset()
    nearby: frozenset[str] = frozenset()
    is_reason: bool = False
    is_likely: bool = False
    is_sure: bool = False
    is_certain: bool = False
    fit: float = 0.0
    score: float = 0.0
    covers: frozenset[str] = frozenset()


def has_content(question: str) -> bool:
    """Whether a question names anything one could look up."""
    return bool(terms(question))


def terms(text: str) -> list[str]:
    """The stemmed content words of a text, in order; runs of CJK become pairs of characters."""
    found: list[str] = []
    for word in _TOKEN.findall(_folded(text)):
        if _CJK.fullmatch(word):
            found.extend(word[i : i + 2] for i in range(max(1, len(word) - 1)))
            continue
        whole = word.replace("\u2019", "'")
        for part in {whole, *whole.split("-")} if "-" in whole else (whole,):
            bare = part.removesuffix("'s")
            if bare not in STOPWORDS and (len(bare) > 1 or bare.isdigit()):
                found.append(stem(bare))
    return found


def short_answer(question: str, passages: Sequence[Passage]) -> str | None:
    """One to three cited sentences or one cited list that answer `question`; None when no passage does."""
    asked = list(dict.fromkeys(terms(question)))
    laid_out = [blocks(passage.text) for passage in passages]
    ranked = _ranked(question, asked, _candidates(passages, laid_out), _unknown_share(passages))
    if not ranked:
        return None
    best = ranked[0]
    as_list = _list_around(question, best, laid_out[best.passage])
    if as_list:
        return as_list
    return _told(_chosen(ranked, laid_out))


# Scoring --------------------------------------------------------------------------------------------------------------
def _candidates(passages: Sequence[Passage], laid_out: Sequence[Sequence[Block]]) -> list[Sentence]:
    found: list[Sentence] = []
    for at, (passage, parts) in enumerate(zip(passages, laid_out, strict=True)):
        title = terms(f"{passage.title} {passage.place}")
        nearby = frozenset([*title, *terms(" ".join(one for block in parts for one in block.sentences))])
        for block_at, block in enumerate(parts):
            if block.kind == "code":
                continue
            around = frozenset([*title, *terms(block.heading), *terms(block.lead)])
            heading = block.heading or passage.place.rsplit(" > ", 1)[-1]
            head = frozenset(terms(heading))
            for i, text in enumerate(block.sentences):
                if text.endswith(":") and i + 1 == len(block.sentences):
                    around |= _led_into(parts, block_at)
                found.append(
                    Sentence(
                        text,
                        at,
                        passage.n,
                        block_at,
                        i,
                        block.kind,
                        frozenset(terms(text)),
                        around,
                        head,
                        nearby,
                        is_reason=_REASON.match(heading) is not None,
                        is_likely=at == 0 and passage.score >= LIKELY_SCORE,
                        is_sure=at == 0 and passage.score >= SURE_SCORE,
                        is_certain=at == 0 and passage.score >= CERTAIN_SCORE,
                    )
                )
    return found


def _led_into(parts: Sequence[Block], at: int) -> frozenset[str]:
    """The terms of the list or code that the last sentence of a block leads into."""
    after = parts[at + 1] if at + 1 < len(parts) else None
    if after is None or after.kind not in ("list", "code"):
        return frozenset()
    return frozenset(terms(" ".join(after.sentences)))


def _unknown_share(passages: Sequence[Passage]) -> float:
    """Between the two shares, by how well the best passage fits."""
    best = max((passage.score for passage in passages), default=0.0)
    sure = min(1.0, max(0.0, (best - UNSURE_SCORE) / (SURE_SCORE - UNSURE_SCORE)))
    return UNKNOWN_SHARE + sure * (UNKNOWN_SHARE_SURE - UNKNOWN_SHARE)


def _ranked(
    question: str, asked: Sequence[str], candidates: Sequence[Sentence], unknown_share: float
) -> list[Sentence]:
    weights = _weights(asked, candidates, unknown_share)
    whole = sum(weights.values())
    if not whole:
        return []
    numeric, steps = bool(_NUMERIC.search(question)), bool(QUESTION_HOW.search(question))
    deed = _deed(question)
    defining, reason = bool(_DEFINITION.match(question)), bool(_REASON.match(question))
    scored = []
    for candidate in candidates:
        fit = _fit(weights, whole, candidate.head) if candidate.is_reason == reason else 0.0
        sentence = replace(candidate, fit=fit, covers=_covers(asked, candidate.own))
        if _is_dangling(sentence):
            continue
        if deed and not sentence.is_certain and not _match(deed, sentence.own | sentence.around):
            continue
        own = sum(weight * _match(term, sentence.own) for term, weight in weights.items()) / whole
        both = sum(weight * _nearness(term, sentence) for term, weight in weights.items()) / whole
        if _is_answer(sentence, asked, own, both):
            score = both + _bonus(sentence, numeric, steps)
            score += SURE_BONUS if _is_sure_opening(sentence, asked) else 0.0
            score += DEFINING_BONUS if defining and _defines(sentence.text, asked) else 0.0
            scored.append(replace(sentence, score=score))
    return sorted(scored, key=lambda sentence: (-sentence.score, sentence.passage, sentence.block, sentence.at))


def _deed(question: str) -> str:
    """What somebody wants to do, stemmed: how to delete is no answer to how to export. Empty for vague verbs."""
    found = _HOW_TO.search(question)
    verb = found.group(1).lower() if found else ""
    return stem(verb) if verb and verb not in VAGUE_VERBS and verb not in STOPWORDS else ""


def _is_dangling(sentence: Sentence) -> bool:
    """A question answers nothing, and a yes or no belongs to the heading it answers."""
    answers_heading = sentence.fit or (sentence.is_certain and _is_opening(sentence))
    return sentence.text.endswith("?") or (not answers_heading and _VERDICT.match(sentence.text) is not None)


def _nearness(term: str, sentence: Sentence) -> float:
    return max(_match(term, sentence.own), HEADING_SHARE * _match(term, sentence.around))


def _is_answer(sentence: Sentence, asked: Sequence[str], own: float, both: float) -> bool:
    """Whether enough of the question is there, in the sentence's own words or as the opening under its heading."""
    if _is_sure_opening(sentence, asked):
        return True
    if sentence.is_likely and _is_opening(sentence) and sentence.fit and _is_known(sentence, asked):
        return True
    speaks_of_it = sentence.fit or own >= OWN_FLOOR
    tells_more = _is_known(sentence, asked) or not sentence.covers <= sentence.head
    if _is_opening(sentence) and both >= OPENING_FLOOR and speaks_of_it and tells_more:
        return True
    if len(asked) > 1 and len(sentence.covers) < 2:
        return both >= LONE_FLOOR and own >= OPENING_FLOOR
    return both >= FLOOR and own >= OWN_FLOOR


def _fit(weights: Mapping[str, float], whole: float, head: frozenset[str]) -> float:
    """How nearly the heading above a sentence is the question itself: all it asks and little besides; 0 or 0.5 to 1."""
    covered = sum(weight * _match(term, head) for term, weight in weights.items()) / whole
    if covered < WHOLE_HEADING or not head:
        return 0.0
    asked = frozenset(weights)
    share = sum(1 for term in head if _match(term, asked)) / len(head)
    return share if share >= 0.5 else 0.0


def _defines(text: str, asked: Sequence[str]) -> bool:
    """Whether a sentence says what the asked thing is: the thing is its subject."""
    found = _SUBJECT.match(text)
    return found is not None and set(terms(found.group(1))) == set(asked)


def _weights(asked: Sequence[str], candidates: Sequence[Sentence], unknown_share: float) -> dict[str, float]:
    """How much each asked term tells: rare in the passages is much, in every sentence is little."""
    count = Counter(term for sentence in candidates for term in sentence.own | sentence.around)
    n = len(candidates)
    weights = {}
    for term in asked:
        seen = count[term] or max((count[other] for other in related(term)), default=0)
        weights[term] = math.log(1 + (n + 1) / (seen + 0.5)) if seen else unknown_share * math.log(1 + (n + 1) / 1.5)
    return weights


def _match(term: str, there: frozenset[str]) -> float:
    if term in there:
        return 1.0
    if any(other in there for other in related(term)):
        return RELATED_SHARE
    if len(term) >= 5 and any(
        len(other) >= 5 and (term in other or other in term) and "_" not in other for other in there
    ):
        return RELATED_SHARE
    return 0.0


def _covers(asked: Sequence[str], own: frozenset[str]) -> frozenset[str]:
    return frozenset(term for term in asked if _match(term, own))


def _is_opening(sentence: Sentence) -> bool:
    """The first sentence under a heading that is itself the question: what follows is its answer."""
    return sentence.at == 0 and sentence.block == 0 and sentence.kind == "text"


def _is_sure_opening(sentence: Sentence, asked: Sequence[str]) -> bool:
    """The first sentence of the passage that fits best by meaning, under a heading that speaks of the same thing."""
    if not sentence.is_sure or not _is_opening(sentence):
        return False
    return sentence.is_certain or (any(_match(term, sentence.head) for term in asked) and _is_known(sentence, asked))


def _is_known(sentence: Sentence, asked: Sequence[str]) -> bool:
    """Whether most of what is asked is said in the passage or above it."""
    return sum(1 for term in asked if _match(term, sentence.nearby)) >= KNOWN_SHARE * len(asked)


def _bonus(sentence: Sentence, numeric: bool, steps: bool) -> float:
    bonus = 0.04 / (1 + sentence.passage) + FIT_BONUS * sentence.fit * (3 if _is_opening(sentence) else 1)
    if numeric and re.search(r"\d", sentence.text):
        bonus += 0.12
    if sentence.at == 0 and sentence.kind == "text":
        bonus += 0.03
    if steps and sentence.text.endswith(":"):
        bonus += 0.1
    if sentence.kind == "table":
        bonus -= 0.06
    if len(sentence.text) > 320:
        bonus -= 0.08
    return bonus


# Choosing and telling -------------------------------------------------------------------------------------------------
def _list_around(question: str, best: Sentence, parts: Sequence[Block]) -> str | None:
    """The whole list with its lead-in, when the best sentence leads into one or stands in one that is asked for."""
    at = best.block
    wants_steps = bool(QUESTION_HOW.search(question))
    if best.text.endswith(":") and at + 1 < len(parts) and parts[at + 1].kind in ("list", "code"):
        return _laid_out(best.text, parts[at + 1], best.n)
    if best.kind == "list" and parts[at].lead and (wants_steps or parts[at].ordered):
        return _laid_out(parts[at].lead, parts[at], best.n)
    if best.kind == "list" and wants_steps and len(parts[at].sentences) > 1:
        return _laid_out("", parts[at], best.n)
    return None


def _laid_out(lead: str, block: Block, n: int) -> str | None:
    """The lead-in and as many whole items as fit; None when not even one does."""
    if block.kind == "code":
        code = block.sentences[0]
        return f"{lead} [{n}]\n```\n{code}\n```" if len(code) <= MAX_LIST_CHARS else None
    lines: list[str] = [lead] if lead else []
    room = MAX_LIST_CHARS - len(lead)
    for number, item in enumerate(block.sentences, 1):
        line = f"{number}. {item}" if block.ordered else f"- {item}"
        room -= len(line)
        if room < 0:
            break
        lines.append(line)
    return "\n".join(lines) + f" [{n}]" if len(lines) > bool(lead) else None


def _chosen(ranked: Sequence[Sentence], laid_out: Sequence[Sequence[Block]]) -> list[Sentence]:
    best = ranked[0]
    chosen = [*_antecedent(best, laid_out), best, *_continuation(best, laid_out)][: MAX_SENTENCES + 1]
    for sentence in ranked[1:]:
        if sentence.kind == "table" != best.kind:
            continue  # a table beside prose repeats it
        if len(chosen) >= MAX_SENTENCES or sentence.score < NEAR_BEST * best.score:
            break
        long = sum(len(one.text) for one in chosen) + len(sentence.text) > MAX_CHARS
        dangling = _ANAPHORA.match(sentence.text) and not _follows_any(sentence, chosen)
        if not long and not dangling and not sentence.text.endswith((":", "?")) and _is_new(sentence, chosen, best):
            chosen.append(sentence)
    first = best.passage
    return sorted(chosen, key=lambda one: (one.passage != first, one.passage, one.block, one.at))


def _antecedent(sentence: Sentence, laid_out: Sequence[Sequence[Block]]) -> list[Sentence]:
    """The sentence before one that begins with `it` or `this`, and the short verdict that a certain answer opens with."""
    if sentence.at == 0 or sentence.kind != "text":
        return []
    text = laid_out[sentence.passage][sentence.block].sentences[sentence.at - 1]
    is_verdict = sentence.is_certain and sentence.at == 1 and sentence.block == 0 and len(text) <= SHORT_CHARS
    if not _ANAPHORA.match(sentence.text) and not is_verdict:
        return []
    return [replace(sentence, text=text, at=sentence.at - 1, own=frozenset(terms(text)))]


def _continuation(sentence: Sentence, laid_out: Sequence[Sequence[Block]]) -> list[Sentence]:
    """Under a heading that is the question, the sentence that goes on with `it` belongs to the answer."""
    block = laid_out[sentence.passage][sentence.block]
    if sentence.is_certain and _is_opening(sentence):
        return _paragraph(sentence, block)
    if not sentence.fit or sentence.kind != "text" or sentence.at + 1 >= len(block.sentences):
        return []
    text = block.sentences[sentence.at + 1]
    if len(text) + len(sentence.text) > MAX_CHARS or text.endswith((":", "?")):
        return []
    if not _ANAPHORA.match(text) and len(sentence.text) > SHORT_CHARS:
        return []
    return [replace(sentence, text=text, at=sentence.at + 1, own=frozenset(terms(text)))]


def _paragraph(opening: Sentence, block: Block) -> list[Sentence]:
    """What follows the opening of the passage that certainly answers, as far as it is short."""
    following: list[Sentence] = []
    room = CERTAIN_CHARS - len(opening.text)
    for at, text in enumerate(block.sentences[1:MAX_SENTENCES], 1):
        room -= len(text)
        if room < 0 or text.endswith((":", "?")):
            break
        following.append(replace(opening, text=text, at=at, own=frozenset(terms(text))))
    return following


def _follows_any(sentence: Sentence, chosen: Iterable[Sentence]) -> bool:
    place = (sentence.passage, sentence.block, sentence.at - 1)
    return any((one.passage, one.block, one.at) == place for one in chosen)


def _is_new(sentence: Sentence, chosen: Sequence[Sentence], best: Sentence) -> bool:
    """Not said already: overlapping chunks repeat sentences, documents repeat facts."""
    for one in chosen:
        union = one.own | sentence.own
        if one.text == sentence.text or (union and len(one.own & sentence.own) / len(union) >= SAME):
            return False
    said = frozenset(term for one in chosen for term in one.covers)
    if sentence.passage != best.passage and (best.fit or len(sentence.covers) < 2):
        return False  # what another passage adds by one word is beside the question
    return sentence.score >= AS_GOOD * best.score or not sentence.covers <= said


def _told(chosen: Sequence[Sentence]) -> str:
    return " ".join(f"{sentence.text} [{sentence.n}]" for sentence in chosen)


def _folded(text: str) -> str:
    text = text.lower().replace("ß", "ss")
    if text.isascii():
        return text
    parts = unicodedata.normalize("NFKD", text)
    return unicodedata.normalize(
        "NFC", "".join(ch for ch in parts if not unicodedata.combining(ch) or ch in "\u3099\u309a")
    )
