"""The features of a text: text → words and pairs → places and weights.

A document becomes a bag of words, beginnings of long words, and pairs of neighbouring words. Each is hashed to one of
2**hash_bits places (feature hashing, Weinberger et al. 2009), weighted by (1 + ln count) · idf, and the document is
scaled to length 1. Training and serving both call these lines, so a document has the same features in both.
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
LETTER, MARK = f"[^\\W{ALONE}]", f"[{MARKS}]"
# By the characters that a word has at least: the words of any text, and the same words of a text without any of those
# characters, which most texts are; that takes a third of the time.
WORD = {
    1: re.compile(f"[{ALONE}]|(?:{LETTER}{MARK}*)+"),
    2: re.compile(f"[{ALONE}]|(?:{LETTER}{MARK}*){{2,}}|{LETTER}{MARK}+"),
}
LATIN_WORD, BEYOND_LATIN = {1: re.compile(r"\w+"), 2: re.compile(r"\w{2,}")}, re.compile("[^\0-\u02ff]")
CUT = "…"  # stands behind a beginning of a word, for people; no word has it


@dataclass(frozen=True)
class FeatureParameters:
    """What a text's features depend on, beside the text.

    hash_bits: the features lie in 0 … 2**hash_bits - 1.
    ngrams: 1 for words, 2 for words and pairs of neighbouring words.
    max_characters: how much of a text is read, so that one long text costs a bounded time.
    shortest: the characters that a word has at least, 1 or 2.
    beginning: so many characters of each longer word count as a word too, so that forms of a word share a place; 0 for
        none.

    A model that does not name the last two was written before they could be chosen; the defaults are its features.
    """

    hash_bits: int = 20
    ngrams: int = 2
    max_characters: int = 200_000
    shortest: int = 2
    beginning: int = 0

    @property
    def size(self) -> int:
        return 1 << self.hash_bits

    def checked(self) -> "FeatureParameters":
        """Validates the parameters and returns self. Raises ModelFormatError if a value is out of range."""
        if self.hash_bits not in range(1, 31) or self.ngrams not in (1, 2) or not self.max_characters > 0:
            raise ModelFormatError(f"expected 1 to 30 hash_bits, 1 or 2 ngrams and some characters, found {self}")
        if self.shortest not in WORD or self.beginning not in range(100):
            raise ModelFormatError(f"expected a shortest word of 1 or 2, a beginning of 0 to 99, found {self}")
        return self


def words_of(text: str, parameters: FeatureParameters) -> list[str]:
    """The document's words in lower case, in their order, repeats included."""
    text = unicodedata.normalize("NFC", text[: parameters.max_characters]).lower()
    return (WORD if BEYOND_LATIN.search(text) else LATIN_WORD)[parameters.shortest].findall(text)


def beginnings_of(words: list[str], parameters: FeatureParameters) -> list[str]:
    """The beginnings of the long ones among these words, in their order, repeats included."""
    characters = parameters.beginning
    return [word[:characters] for word in words if len(word) > characters] if characters else []


def grams(text: str, parameters: FeatureParameters) -> list[str]:
    """The document's words, beginnings and, with 2 ngrams, pairs, for people, in the order of `gram_places`."""
    words = words_of(text, parameters)
    pairs = [f"{first} {second}" for first, second in zip(words, words[1:], strict=False)]
    return words + [one + CUT for one in beginnings_of(words, parameters)] + (pairs if parameters.ngrams == 2 else [])


def gram_places(text: str, parameters: FeatureParameters) -> list[np.ndarray]:
    """The places of the document's words and beginnings and, with 2 ngrams, of its pairs.

    They are int32, in their order, repeats included. A beginning has the place of the word of the same characters.
    """
    words = words_of(text, parameters)
    counted = words + beginnings_of(words, parameters)
    hashes = np.fromiter(map(mmh3.hash, counted, repeat(0), repeat(False)), np.uint32, len(counted))
    last = np.uint32(parameters.size - 1)
    places = [(hashes & last).astype(np.int32)]
    if parameters.ngrams == 2:
        # A pair's hash is computed from its words' hashes, for all pairs at once; hashing each pair would dominate.
        hashes = hashes[: len(words)]
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
