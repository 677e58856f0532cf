"""The features of a text: text → words and pairs → places and weights.

A document becomes a bag of words and pairs of neighbouring words. Each is hashed to one of 2**hash_bits places (feature
hashing, Weinberger et al. 2009), weighted by (1 + ln count) · idf, and the document is scaled to length 1. Training and
serving both call these lines, so a document has the same features in both.
"""

import re
import unicodedata
from dataclasses import dataclass
from itertools import repeat

import mmh3
import numpy as np

from brigade.models.manifest import ModelFormatError

# Each of these characters is a word of its own: scripts without spaces between words (Thai, Lao, Burmese, Khmer, kana,
# Han) and emoji. Two in a row are a pair.
ALONE = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2600-\u27bf\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
# Marks that belong to the letter before them, such as the vowel signs of Hebrew, Arabic and Hindi; \w has none of them.
MARKS = "".join(chr(one) for one in range(0x300, 0xE00) if unicodedata.category(chr(one)) in ("Mn", "Mc"))
WORD = re.compile(f"[{ALONE}]|(?:[^\\W{ALONE}][{MARKS}]*){{2,}}|[^\\W{ALONE}][{MARKS}]+")
# The same words for a text without any of those characters, which most texts are; it takes a third of the time.
LATIN_WORD, BEYOND_LATIN = re.compile(r"\w{2,}"), re.compile("[^\0-\u02ff]")


@dataclass(frozen=True)
class FeatureParameters:
    """What a text's features depend on, beside the text.

    hash_bits: the features lie in 0 … 2**hash_bits - 1.
    ngrams: 1 for words, 2 for words and pairs of neighbouring words.
    max_characters: how much of a text is read, so that one long text costs a bounded time.
    """

    hash_bits: int = 20
    ngrams: int = 2
    max_characters: int = 200_000

    @property
    def size(self) -> int:
        return 1 << self.hash_bits

    def checked(self) -> "FeatureParameters":
        """Validates the parameters and returns self. Raises ModelFormatError if a value is out of range."""
        if self.hash_bits not in range(1, 31) or self.ngrams not in (1, 2) or not self.max_characters > 0:
            raise ModelFormatError(f"expected 1 to 30 hash_bits, 1 or 2 ngrams and some characters, found {self}")
        return self


def words_of(text: str, parameters: FeatureParameters) -> list[str]:
    """The document's words in lower case, in their order, repeats included."""
    text = unicodedata.normalize("NFC", text[: parameters.max_characters]).lower()
    return (WORD if BEYOND_LATIN.search(text) else LATIN_WORD).findall(text)


def grams(text: str, parameters: FeatureParameters) -> list[str]:
    """The document's words and, with 2 ngrams, its pairs, in the order of `gram_places`."""
    words = words_of(text, parameters)
    pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    return words + pairs if parameters.ngrams == 2 else words


def gram_places(text: str, parameters: FeatureParameters) -> list[np.ndarray]:
    """The places of the document's words and, with 2 ngrams, of its pairs; int32, in their order, repeats included."""
    words = words_of(text, parameters)
    hashes = np.fromiter(map(mmh3.hash, words, repeat(0), repeat(False)), np.uint32, len(words))
    last = np.uint32(parameters.size - 1)
    places = [(hashes & last).astype(np.int32)]
    if parameters.ngrams == 2:
        # A pair's hash is computed from its words' hashes, for all pairs at once; hashing each pair would dominate.
        pairs = hashes[:-1] * np.uint32(0x9E3779B1) + hashes[1:]
        for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35), (16, 1)):  # the end of MurmurHash3
            pairs = (pairs ^ (pairs >> np.uint32(shift))) * np.uint32(factor)
        places.append((pairs & last).astype(np.int32))
    return places


def hashed_counts(text: str, parameters: FeatureParameters) -> tuple[np.ndarray, np.ndarray]:
    """The document's places, ascending (int32, [k]), and how often each occurs in the document (float32, [k])."""
    places, counts = np.unique(np.concatenate(gram_places(text, parameters)), return_counts=True)
    return places, counts.astype(np.float32)


def weighted(starts: np.ndarray, columns: np.ndarray, counts: np.ndarray, idf: np.ndarray) -> np.ndarray:
    """The feature values of n documents, float32 [k]; each document's values have length 1.

    They are computed in float64 and rounded once, at the end, so they are the same on every processor.

    starts: where each document's columns and counts begin, and where the last document's end, [n + 1].
    columns: positions in `idf`, [k]; counts: how often, float32 [k]; idf: float32 [features].
    """
    values = (1 + np.log(counts.astype(np.float64))) * idf[columns]
    documents = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    lengths = np.sqrt(np.bincount(documents, values**2, len(starts) - 1))
    return (values / np.where(lengths > 0, lengths, 1)[documents]).astype(np.float32)
