"""What a text looks like: its script, accents and markup, whether it was decoded wrongly, and its words."""

import re
from collections.abc import Sequence
from functools import cache
from itertools import repeat

import mmh3
import numpy as np

from brigade.models.text_features import FeatureParameters, words_of
from brigade.profiles.buckets import Found, of_kinds, of_numbers

WORD_BUCKETS = 1024
WORDS = FeatureParameters()  # what a word is to a profile, whichever model there is
MOST_CHARACTERS = 20_000  # that are looked at, other than for words
# The first and the last character of each script's blocks. A letter of none of them is `other`.
SCRIPTS = {
    "latin": ((0x41, 0x24F), (0x1E00, 0x1EFF), (0x2C60, 0x2C7F), (0xA720, 0xA7FF), (0xFB00, 0xFB06), (0xFF21, 0xFF5A)),
    "greek": ((0x370, 0x3FF), (0x1F00, 0x1FFF)),
    "cyrillic": ((0x400, 0x52F), (0x1C80, 0x1C8F), (0x2DE0, 0x2DFF), (0xA640, 0xA69F)),
    "hebrew": ((0x590, 0x5FF), (0xFB1D, 0xFB4F)),
    "arabic": ((0x600, 0x6FF), (0x750, 0x77F), (0x8A0, 0x8FF), (0xFB50, 0xFDFF), (0xFE70, 0xFEFF)),
    "indic": ((0x900, 0xDFF),),
    "thai": ((0xE00, 0xE7F),),
    "kana": ((0x3040, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9F)),
    "han": ((0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xF900, 0xFAFF)),
    "hangul": ((0x1100, 0x11FF), (0x3130, 0x318F), (0xAC00, 0xD7AF)),
}
SCRIPT_BUCKETS = ["none", *SCRIPTS, "other"]
NO_LETTER, ASCII, BEYOND_BMP = 0, len(SCRIPT_BUCKETS), 0x10000
TAG = re.compile(r"<[!/?]?[a-zA-Z][^<>]{0,500}>|&(?:[a-zA-Z]{2,8}|#\d{1,5});")
# What UTF-8 looks like that was read as Latin-1 or Windows-1252: the first byte of a character, and another one of it.
MOJIBAKE = re.compile("\ufffd|[\u00c2-\u00f4][\u0080-\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]")
DAMAGE = ["fine", "damaged"]


def shapes(name: str, events: np.ndarray, texts: Sequence[str]) -> list[Found]:
    """What these texts look like, character by character. events: their positions in the batch, int [k]."""
    begun = [text[:MOST_CHARACTERS] for text in texts]
    letters = letters_of(begun)
    scripts, total = letters[:, 1 : len(SCRIPT_BUCKETS)].copy(), letters[:, 1:].sum(axis=1)
    scripts[:, 0] += letters[:, ASCII]
    script = np.where(total > 0, scripts.argmax(axis=1) + 1, 0)
    some = np.maximum(total, 1)
    tags = [sum(len(tag[0]) for tag in TAG.finditer(text)) if "<" in text or "&" in text else 0 for text in begun]
    sizes = np.array([max(len(text), 1) for text in begun], np.float64)
    damaged = [MOJIBAKE.search(text) is not None for text in begun]
    return [
        of_kinds(name, "script", events, script, SCRIPT_BUCKETS),
        of_numbers(name, "accents", events, per_mille(total - letters[:, ASCII], some)),
        of_numbers(name, "markup", events, per_mille(np.array(tags, np.float64), sizes)),
        of_kinds(name, "damage", events, damaged, DAMAGE),
    ]


def per_mille(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """In a thousand, rounded, so that 1 is the smallest above 0."""
    return np.ceil(1000 * part / whole)


def letters_of(texts: Sequence[str]) -> np.ndarray:
    """How many letters of each script the texts have, int [n, scripts + 2]: by SCRIPT_BUCKETS, and last ASCII's."""
    raw = [text.encode("utf-32-le", "surrogatepass") for text in texts]
    points = np.frombuffer(b"".join(raw), np.uint32)
    kinds = kinds_of_characters()[np.minimum(points, BEYOND_BMP)]
    owners = np.repeat(np.arange(len(raw)), [len(one) // 4 for one in raw])
    width = ASCII + 1
    found = np.bincount(owners * width + kinds, minlength=len(raw) * width).reshape(len(raw), width)
    found[:, NO_LETTER] = 0
    return found


@cache
def kinds_of_characters() -> np.ndarray:
    """For each character of the basic plane, and last for all others: NO_LETTER, a script's number, or ASCII."""
    found = np.full(BEYOND_BMP + 1, len(SCRIPT_BUCKETS) - 1, np.int64)
    for number, blocks in enumerate(SCRIPTS.values(), start=1):
        for first, last in blocks:
            found[first : last + 1] = number
    found[:0x80] = ASCII
    found[[point for point in range(BEYOND_BMP) if not chr(point).isalpha()]] = NO_LETTER
    found[BEYOND_BMP] = NO_LETTER
    return found


def word_hashes(text: str, parameters: FeatureParameters) -> np.ndarray:
    """The hashes of a text's words, uint32, in their order, repeats included; places of features are made of them."""
    words = words_of(text, parameters)
    return np.fromiter(map(mmh3.hash, words, repeat(0), repeat(False)), np.uint32, len(words))


def words(name: str, events: np.ndarray, hashes: Sequence[np.ndarray]) -> list[Found]:
    """How many words the texts have, and which, by the buckets of their hashes, once for each text and bucket."""
    sizes = np.array([len(one) for one in hashes], np.int64)
    owners = np.repeat(np.arange(len(hashes)), sizes)
    every = np.concatenate([*hashes, np.zeros(0, np.uint32)]).astype(np.int64)
    owner, bucket = np.divmod(np.unique(owners * WORD_BUCKETS + every % WORD_BUCKETS), WORD_BUCKETS)
    in_all = np.full(len(events), WORD_BUCKETS)
    codes = np.concatenate([bucket, in_all])
    return [
        of_numbers(name, "words", events, sizes),
        Found(name, "word", np.concatenate([events[owner], events]), codes, WORD_NAMES),
    ]


WORD_NAMES = [*map(str, range(WORD_BUCKETS)), "all"]
