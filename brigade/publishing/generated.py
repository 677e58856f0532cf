"""Generates business mail in Brazilian Portuguese and English, for the demo, the tests and the benchmarks.

A number and a seed give that many documents of ten classes, the same ones on every machine. A document mixes sentences
of its own class with general ones, some of other classes, and quoted mails, so that no single word gives the class
away. It has typing errors and lost accents, and three labels in a hundred are wrong, as in real data. A linear model on
TF-IDF of words and word pairs that has seen 4,000 documents is right on about 95 in 100 of the others.
"""

import random
import re
import unicodedata
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from brigade.publishing.generated_texts import BOTH, ENGLISH, PORTUGUESE

WRONG_LABELS = 0.03
LEAST_WORDS = 30
BODY = (2, 9)  # sentences, without the quoted mail
OWN_SHARE = (11, 2)  # beta distribution of the share of a body's sentences that are of its own class
GENERAL_SHARE = 0.6  # of its other sentences, how many could stand in a document of any class
QUOTED_SHARE = 0.1  # documents that quote a mail of another class

# Each class: how often it occurs (out of 100), and the classes that it is easily taken for.
CLASSES = {
    "invoice": (16, ("payment_reminder", "purchase_order", "quote")),
    "support_ticket": (15, ("complaint", "purchase_order")),
    "purchase_order": (13, ("quote", "invoice", "contract")),
    "complaint": (11, ("support_ticket", "legal_notice", "invoice")),
    "quote": (10, ("purchase_order", "invoice", "contract")),
    "payment_reminder": (9, ("invoice", "legal_notice")),
    "job_application": (8, ("meeting_minutes", "contract")),
    "meeting_minutes": (7, ("purchase_order", "contract", "quote")),
    "contract": (6, ("legal_notice", "quote", "job_application")),
    "legal_notice": (5, ("contract", "payment_reminder", "complaint")),
}


def sections(text: str) -> dict[str, list[str]]:
    parts = (re.split(r":? *\n|: ", part.strip(), maxsplit=1) for part in text.split("# ")[1:])
    return {name: lines.split("\n") for name, lines in parts}


TEXTS = {"en": sections(BOTH + ENGLISH), "pt": sections(BOTH + PORTUGUESE)}
NUMBERS: dict[str, Callable[[random.Random], object]] = {
    "day": lambda rng: rng.randint(1, 28),
    "days": lambda rng: rng.choice((2, 3, 5, 7, 10, 15, 20, 30, 45)),
    "dinheiro": lambda rng: str(NUMBERS["money"](rng)).translate(str.maketrans(",.", ".,")),
    "money": lambda rng: f"{rng.lognormvariate(7.5, 1.3):,.2f}",
    "month_number": lambda rng: f"{rng.randint(1, 12):02}",
    "n": lambda rng: rng.randint(2, 60),
    "number": lambda rng: f"{rng.choice(('', '', 'A-', '2024/'))}{rng.randint(1000, 99999)}",
    "percent": lambda rng: f"{rng.randint(1, 24)}%",
    "phone": lambda rng: f"{rng.randint(11, 99)} {rng.randint(2000, 9999)}-{rng.randint(1000, 9999)}",
    "year": lambda rng: rng.randint(2021, 2025),
}


@dataclass(frozen=True)
class BusinessDocument:
    """A document and its metadata. `label` is one of CLASSES, and wrong for the share WRONG_LABELS of them."""

    text: str
    label: str
    language: str
    channel: str
    region: str
    account_id: str


def generate(n: int, seed: int) -> Iterator[BusinessDocument]:
    """The first n documents of the seed's endless sequence, one at a time."""
    rng = random.Random(f"business documents {seed}")  # a str seed goes through SHA-512, not through hash()
    accounts = [str(uuid.UUID(int=rng.getrandbits(128), version=4)).upper() for _ in range(40)]
    frequencies = [often for often, _ in CLASSES.values()]
    for _ in range(n):
        (label,) = rng.choices(list(CLASSES), frequencies)
        language = rng.choice(list(TEXTS))
        fill = Filler(language, rng)
        text = with_typing_errors(compose(label, fill, rng), rng)
        if rng.random() < WRONG_LABELS:
            label = other_class(label, rng)
        channel, region = fill.drawn("channel"), fill.drawn("region")
        yield BusinessDocument(text, label, language, channel, region, rng.choice(accounts))


class Filler:
    """Fills one document's sentences with the same few people, companies, goods, dates and amounts."""

    def __init__(self, language: str, rng: random.Random):
        self.texts, self.rng = TEXTS[language], rng
        self.known: dict[str, list[str]] = {}

    def __call__(self, sentence: str) -> str:
        return self.filled(sentence, self.named)

    def filled(self, sentence: str, slot: Callable[[str], str]) -> str:
        sentence = re.sub(r"\[([^\]]*)\]", lambda choice: self.rng.choice(choice[1].split("|")), sentence)
        return re.sub(r"\{(\w+)\}", lambda name: slot(name[1]), sentence)

    def named(self, name: str) -> str:
        """One of the document's own three, and not the last one, so that nobody meets himself."""
        known = self.known.setdefault(name, [])
        if not known:
            known += [self.drawn(name) for _ in range(3)]
        known.append(known.pop(self.rng.randrange(2)))
        return known[-1]

    def drawn(self, name: str) -> str:
        if name in NUMBERS:
            return str(NUMBERS[name](self.rng))
        return self.filled(self.rng.choice(self.texts[name]), self.drawn)


def compose(label: str, fill: Filler, rng: random.Random) -> str:
    """A document of the class: subject, opening, body, closing, sometimes a quoted mail of another class."""
    lines = [fill(rng.choice(fill.texts[part])) for part in ("subject", "opening") if rng.random() < 0.7]
    own_share = rng.betavariate(*OWN_SHARE)
    own = rng.sample(fill.texts[label], len(fill.texts[label]))
    length = rng.randint(*BODY)
    said: set[str] = set()
    while len(said) < length or sum(len(line.split()) for line in lines) < LEAST_WORDS:
        if own and (not said or rng.random() < own_share):
            sentence = own.pop()
        else:
            kind = "general" if rng.random() < GENERAL_SHARE else other_class(label, rng)
            sentence = rng.choice(fill.texts[kind])
        if sentence not in said:
            said.add(sentence)
            lines.append(fill(sentence))
    lines.append(fill(rng.choice(fill.texts["closing"])))
    if rng.random() < QUOTED_SHARE:
        quoted = rng.sample(fill.texts[other_class(label, rng)], rng.randint(1, 3))
        lines += [fill(rng.choice(fill.texts["quoting"])), *("> " + fill(sentence) for sentence in quoted)]
    return "\n".join(lines)


def other_class(label: str, rng: random.Random) -> str:
    """Another class, mostly one that the class is easily taken for."""
    if rng.random() < 0.7:
        return rng.choice(CLASSES[label][1])
    return rng.choice([other for other in CLASSES if other != label])


def with_typing_errors(text: str, rng: random.Random) -> str:
    """The text as a hurried person types it: letters swapped, lost or doubled, accents lost."""
    if rng.random() < 0.15:
        text = without_accents(text)
    errors = rng.choice((0.0, 0.01, 0.02, 0.06))  # a word; some people type well
    return re.sub(r"[^\W\d_]{4,}", lambda word: spelt(word[0], rng, errors), text)


def spelt(word: str, rng: random.Random, errors: float) -> str:
    if rng.random() >= errors:
        return word
    at = rng.randrange(1, len(word) - 1)
    swapped = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    lost, doubled = word[:at] + word[at + 1 :], word[: at + 1] + word[at:]
    return rng.choice((swapped, lost, doubled, without_accents(word)))


def without_accents(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if not unicodedata.combining(sign))
