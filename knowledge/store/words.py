"""Text to sparse vectors, by the engine's own BM25, with the right stemmer for each language."""

from __future__ import annotations

from functools import lru_cache

import qdrant_edge

from knowledge.store.contract import Sparse

# Languages the engine stems by name. Chinese and Japanese are cut into words instead; all others go unstemmed.
STEMMED = {
    "ar": "arabic", "ca": "catalan", "da": "danish", "de": "german", "el": "greek", "en": "english", "es": "spanish",
    "eu": "basque", "fi": "finnish", "fr": "french", "hu": "hungarian", "id": "indonesian", "it": "italian",
    "ne": "nepali", "nl": "dutch", "no": "norwegian", "pt": "portuguese", "ro": "romanian", "ru": "russian",
    "sv": "swedish", "tr": "turkish",
}  # fmt: skip
UNSPACED = frozenset({"zh", "ja", "th"})


@lru_cache(maxsize=64)
def _model(language: str) -> qdrant_edge.Bm25:
    if language in UNSPACED:
        return qdrant_edge.Bm25(qdrant_edge.Bm25Config(tokenizer=qdrant_edge.TokenizerType.Multilingual))
    if language in STEMMED:
        return qdrant_edge.Bm25(qdrant_edge.Bm25Config(language=STEMMED[language]))
    plain = qdrant_edge.Bm25Config(stemmer=qdrant_edge.DisabledStemmer(), stopwords=qdrant_edge.StopwordsSet())
    return qdrant_edge.Bm25(plain)


def document_words(text: str, language: str) -> Sparse:
    """A chunk's terms with their weights."""
    return _sparse(_model(language).embed_document(text), language)


def question_words(text: str, language: str) -> Sparse:
    """A question's terms, each of weight 1."""
    return _sparse(_model(language).embed_query(text), language)


def _sparse(vector: qdrant_edge.SparseVector, language: str) -> Sparse:
    return Sparse(tuple(vector.indices), tuple(vector.values), language)
