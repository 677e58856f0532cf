"""The words that speak most for a class, for people who want to know what a model has learned.

A model knows only the hashed places of words; the words themselves are looked up in a sample of the documents.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from pyspark import RDD

from brigade.models.document_model import DocumentModel
from brigade.models.text_features import CUT, gram_places, grams

WORDS_A_CLASS = 12
LOOKED_UP = 6 * WORDS_A_CLASS  # features of a class: many are numbers, or no words at all
LONGEST_WORD = 25  # characters; what is longer is hardly a word


def learned_words(documents: RDD, model: DocumentModel, classes: list[str]) -> dict[str, list[str]]:
    """For each class up to WORDS_A_CLASS words and pairs, the strongest first. documents: rows of `payload`."""
    strongest = {name: strongest_features(model, model.classes.index(name)) for name in classes}
    places = {name: [int(model.places[at]) for at in features] for name, features in strongest.items()}
    wanted = {place for found in places.values() for place in found}
    small = replace(model, weights=model.weights[:0], places=model.places[:0], idf=model.idf[:0])
    counts = documents.mapPartitions(lambda rows: count_grams(rows, small, wanted)).treeReduce(lambda a, b: a + b)
    texts: dict[int, str] = {}
    for (place, text), _ in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        texts.setdefault(place, text)  # of the words that share a place, the most frequent one
    return {
        name: [texts[one] for one in found if one in texts and is_of_words(texts[one])][:WORDS_A_CLASS]
        for name, found in places.items()
    }


def is_of_words(gram: str) -> bool:
    """Whether a gram is made of words: not a letter alone, no numbers, and nothing as in addresses or packed data."""
    return (len(gram) > 1 or not gram.isascii()) and all(
        len(word) <= LONGEST_WORD and not any(map(str.isdigit, word)) for word in gram.split()
    )


def strongest_features(model: DocumentModel, number: int) -> list[int]:
    """The features that speak most for a class, the strongest first, up to LOOKED_UP."""
    speaks = model.weights[:, number] * model.idf
    most = np.argpartition(-speaks, min(LOOKED_UP, len(speaks) - 1))[:LOOKED_UP]
    return [at for at in most[np.argsort(-speaks[most], kind="stable")].tolist() if speaks[at] > 0]


def count_grams(rows: Iterable, model: DocumentModel, wanted: set[int]) -> Iterator[Counter]:
    """How often each (place, word or pair) of the wanted places occurs in a partition's documents."""
    found: Counter = Counter()
    for row in rows:
        texts = grams(row.payload, model.parameters)
        places = np.concatenate(gram_places(row.payload, model.parameters))
        both = zip(places.tolist(), texts, strict=True)
        found.update((place, text) for place, text in both if place in wanted and not text.endswith(CUT))
    yield found
