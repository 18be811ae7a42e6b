"""Words that carry no meaning, words that mean nearly the same, and a light stemmer for the languages we greet in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

QUESTION_HOW: Final = re.compile(
    r"\b(how (?:do|can|to|does|should|would|could)|steps?|set ?up|install\w*|instructions?|guide|list|which|what are|"
    r"wie (?:kann|richte|mache|geht|installiere|füge|lade)|schritte?|welche|cómo|pasos|cuáles|comment|étapes|quels|"
    r"quelles|come (?:posso|si|faccio)|passi|quali|como|passos|quais|hoe)\b",
    re.IGNORECASE,
)

STOPWORDS: Final = frozenset(
    """
    viel viele vielen welchem welchen denen dessen deren ihrer seine seiner seinen wem wessen worin wozu wofur
    woher wohin habt seid werdet konnt dieser dieses diesem diesen diese jene jeder jede jedes gab sei wurden
    worden insgesamt cuantos cuantas cuanto cuanta fue fueron esta este ese esa estos sobre entre algunas
    algunos tiene tienen tenia cuya cuyo fut furent dont leur leurs etaient elles ils selon lors lequel laquelle
    quelques many total name called type kind some others according during different part a about after again
    all also am an and any are as at be because been before being between both but by can could did do does
    doing don don't done down each even ever every few for from further get gets give got had has have having he
    her here hers him his how i i'd i'm i've if in into is isn't it it's its itself just know let like make
    makes may me might more most much must my no nor not now of off ok okay on once one only or other our ours
    out over own please same she should so such tell than that that's the their theirs them then there these
    they thing things this those through to too under until up us very want was we were what what's when where
    which while who whom whose why will with would you you'd you're your yours yourself show explain need long
    take takes took happen happens possible use used using work works hello hi hey thanks thank der die das den
    dem des ein eine einen einem einer eines und oder aber ich du er sie es wir ihr mich mir dich dir uns euch
    ist sind war waren sein bin bist hat haben habe hatte wird werden wurde kann konnen konnte muss mussen soll
    sollen mein meine meinen dein deine ihre ihren nicht kein keine musst mochte mochten wie wer wo wann warum
    welche welcher welches wieviel mit von zu zum zur im auf aus bei fur nach uber um unter vor durch als auch
    noch nur schon dass wenn bitte man gibt el la los las un una unos unas y o pero yo tu usted ustedes nosotros
    mi mis su sus son era ser estar estan hay ha han como que cual cuales cuando donde quien por para con sin de
    del al en se lo le les te nos si muy mas puedo puede une et ou mais je il elle nous vous mon ma mes ton ta
    tes sa ses votre vos notre est sont etait etre avoir ai ont qui quoi quel quelle quels quelles comment quand
    pourquoi combien avec sans au aux dans sur sous pour par ce cette ces ne pas plus puis peut peux gli uno e
    io lui lei noi voi loro mio mia tuo sua suo sono essere ho hai hanno che chi cosa come quando dove perche
    quanto quale quali senza di della dei delle alla nel nella per da non piu posso os uma umas eu ele ela eles
    elas meu minha seu sao tem ter quem qual quais onde porque com sem dos na nas em ao nao pode het een maar ik
    jij hij zij wij jullie mijn jouw uw zijn heeft hebben kan kunnen moet wat waar wanneer waarom hoe welke met
    van voor naar op aan bij uit onder door ook nog niet geen
    """.split()  # noqa: SIM905  # a list literal of these would be four hundred lines
)

_ENDINGS: Final = (
    *("isierungen", "isierung", "ierungen", "ierung", "izations", "ization", "isation", "ifications", "ification"),
    *(
        "ations",
        "ation",
        "aciones",
        "acion",
        "azione",
        "azioni",
        "acao",
        "ements",
        "ement",
        "ments",
        "ment",
        "ungen",
        "ung",
    ),
    *("ieren", "iert", "ings", "ing", "ables", "able", "ators", "ator", "ibles", "ible", "ities", "ity"),
    *(
        "edly",
        "ions",
        "ion",
        "ies",
        "ers",
        "ors",
        "est",
        "ly",
        "ed",
        "er",
        "or",
        "es",
        "en",
        "os",
        "as",
        "s",
        "e",
        "n",
        "a",
        "o",
    ),
)
_MIN_STEM: Final = {"ies": 2, "s": 3, "e": 3, "ed": 3, "ing": 3, "ings": 3, "es": 3, "er": 4, "n": 4, "a": 3, "o": 3}


def stem(word: str) -> str:
    """A word without its commonest endings; the same for its plural, its -ing form and mostly its noun."""
    for _ in range(2):
        shorter = _shorter(word)
        if shorter == word:
            break
        word = shorter
    return word[:-1] if len(word) > 4 and word[-1] == word[-2] and word[-1] not in "aeiouls" else word


def _shorter(word: str) -> str:
    if any(ch.isdigit() for ch in word) or len(word) < 4:
        return word
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= _MIN_STEM.get(ending, 4):
            if ending == "s" and word.endswith(("ss", "us", "is")):
                return word
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word.removesuffix("y") if len(word) > 4 else word


_GROUPS: Final = (
    "price cost fee charge pay payment pricing expensive paid",
    "refund money money-back reimbursement return back",
    "big large largest size small maximum max limit",
    "delete remove erase deletion removal",
    "install setup deploy installation set-up start run launch begin",
    "hours open opening schedule closed",
    "ship deliver delivery shipping dispatch",
    "contact reach phone email telephone support call",
    "change edit modify update adjust customize customise alter replace",
    "cancel terminate unsubscribe stop",
    "add create new insert upload",
    "embed paste insert put snippet integrate",
    "website site page webpage homepage",
    "widget chat chatbot bubble",
    "fast speed quick latency performance",
    "secure security safe safety protect encrypted encryption",
    "store save keep storage retention stored",
    "require requirement prerequisite needed",
    "key token credential password secret",
    "document file upload format pdf",
    "language multilingual translate spoken",
    "limit maximum max quota most cap",
    "error problem issue fail failure wrong trouble broken",
    "model provider llm",
    "avatar character face animation 3d",
    "warranty guarantee guaranteed",
    "buy purchase order",
    "colour color theme appearance look design",
    "visitor user customer client guest",
    "ram memory",
    "offline internet",
    "appear missing show visible gone disappear",
    "upgrade update",
    "free gratis",
    "preis kosten kostet gebuhr bezahlen zahlung",
    "ruckgabe erstattung zuruck umtausch ruckerstattung",
    "loschen entfernen",
    "versand lieferung lieferzeit liefern",
    "offnungszeiten geoffnet offen",
    "precio coste costo cuesta pagar tarifa",
    "devolucion reembolso devolver",
    "envio entrega enviar",
    "prix cout coute tarif payer",
    "remboursement retour rembourser",
    "livraison expedition livrer",
    "prezzo costo costa pagare tariffa",
    "rimborso reso restituire",
    "preco custo custa pagar tarifa",
)


def _grouped() -> dict[str, frozenset[str]]:
    found: dict[str, set[str]] = {}
    for group in _GROUPS:
        stems = {stem(word) for word in group.split()}
        for one in stems:
            found.setdefault(one, set()).update(stems - {one})
    return {one: frozenset(others) for one, others in found.items()}


_RELATED: Final[Mapping[str, frozenset[str]]] = _grouped()


def related(term: str) -> frozenset[str]:
    """The stems that mean nearly the same as `term` to somebody who asks for help."""
    return _RELATED.get(term, frozenset())
