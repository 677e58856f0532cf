"""What must hold between the keys of a pipeline definition whose form is right, as far as it shows without Spark.

Spark itself checks the queries when they run. Here they are read by their words only: comments and literals are no
words, and a query with a star may yield any column.
"""

import re
from collections.abc import Iterable, Iterator

from brigade.events.contract import DOCUMENTS, Contract
from brigade.pipelines.definition import METRICS, column_of
from brigade.pipelines.schema import Problem, did_you_mean
from brigade.sql_text import code_of

DOCUMENTS_PREFIX = "doc-classification-model"  # as brigade.models.manifest has it
# What the view `events` has beside the fields, see brigade.conversion.schema.
ADDED = ("line", "eventTime", "publishTime", "pubsub", "_row", "_line")
KEPT = ("eventId", "dt", "messageId", "publishTime")  # what a row is told by, and nothing can be learned of
MANY_WORDS = 500  # of a query, beyond which no similar one is looked for

STAR = re.compile(r"(?i)(\b(select|distinct)\s|[,.]\s*)\s*\*")  # all columns; in x * y it is a product


def cross_problems(document: dict) -> list[Problem]:
    """What does not fit together in a document whose form is right; empty if all does."""
    event, model = document["event"], document["model"]
    model = {"split": "random", **{name: value for name, value in model.items() if value is not None}}
    types = {path: {"type": one} if isinstance(one, str) else one for path, one in event["fields"].items()}
    problems = [
        *prefix_problems(document),
        *key_problems(event, types),
        *path_problems(types),
        *field_problems(types),
        *column_problems(types),
        *model_problems(model),
        *name_problems(model),
        *query_problems("query", document["query"], "events", ("eventId", "dt"), types),
        *model_query_problems(model),
        *yield_problems(document["query"], model),
        *monitoring_problems(document["query"], model, document.get("monitoring") or {}),
    ]
    # One problem for each feature: of SORT beside sort it need not be said that the query yields no SORT.
    first = {one.path: one for one in reversed(problems)}
    return [one for one in problems if "[" not in one.path or one is first[one.path]]


def prefix_problems(document: dict) -> Iterator[Problem]:
    """The documents' prefix is theirs alone, and no prefix looks like a dated model's name."""
    prefix = document["model_prefix"]
    of_documents = document["model"]["kind"] == "text" and Contract.of(document["event"]) == DOCUMENTS
    if prefix == DOCUMENTS_PREFIX and not of_documents:
        yield Problem("model_prefix", "a prefix of its own", f"{prefix}, that of the documents")
    if re.search(r"\d{4}-\d\d-\d\d$", prefix):
        yield Problem("model_prefix", "a name without a date", f"{prefix}, to which training adds one")


def key_problems(event: dict, types: dict[str, dict]) -> Iterator[Problem]:
    """The id and the time are required fields of their types."""
    for key, wanted in (("id", "string"), ("time", "timestamp")):
        path = event[key]
        if path not in types:
            hint = did_you_mean(path, list(types))
            yield Problem(f"event.{key}", "the path of one of event.fields", f"{path}, which is none", hint)
            continue
        if types[path]["type"] != wanted:
            yield Problem(f"event.fields.{path}", f"the type {wanted}, since it is event.{key}", types[path]["type"])
        if not types[path].get("required"):
            example = f"write {path}: {{type: {wanted}, required: true}}"
            yield Problem(f"event.fields.{path}", f"required: true, since it is event.{key}", "none", example)


def path_problems(types: dict[str, dict]) -> Iterator[Problem]:
    """Each path is a value's alone, and none of them is another one to SQL, which sees no case."""
    paths = [path.split(".") for path in types]
    objects = {".".join(parts[:end]): ".".join(parts) for parts in paths for end in range(1, len(parts))}
    for path in types:
        if path in objects:
            yield Problem(f"event.fields.{path}", "a value", f"an object too, in {objects[path]}")
    spelt: dict[str, str] = {}
    for begin in dict.fromkeys([*objects, *types]):
        other = spelt.setdefault(begin.lower(), begin)
        if other != begin:
            yield Problem(f"event.fields.{begin}", "names that differ by more than case", other, "SQL sees no case")
    for path in types:
        first = path.split(".")[0]
        if first.lower() in [name.lower() for name in ADDED]:
            yield Problem(f"event.fields.{path}", "another name", f"{first}, which conversion adds itself")


def field_problems(types: dict[str, dict]) -> Iterator[Problem]:
    for path, about in types.items():
        place = f"event.fields.{path}"
        if about["type"] == "list" and not about.get("items"):
            yield Problem(
                f"{place}.items", "the names of what a list's objects hold", "none", "write items: {name: json}"
            )
        if about["type"] != "list" and about.get("items"):
            yield Problem(f"{place}.items", "none, they are of the type list", f"some of a {about['type']}")
        if about["type"] == "text" and about.get("required") is False:
            yield Problem(f"{place}.required", "true, as always of the type text", "false", "string may be missing")


def column_problems(types: dict[str, dict]) -> Iterator[Problem]:
    """Each field has a column of its own in files."""
    taken: dict[str, str] = {}
    for path, about in types.items():
        column = column_of(path, about)
        other = taken.setdefault(column, path)
        if other != path:
            hint = "give one of the two another column"
            yield Problem(f"event.fields.{path}.column", "a column of its own", f"{column}, that of {other}", hint)


def model_problems(model: dict) -> Iterator[Problem]:
    """What kind, task, metric, baseline and horizon ask of one another."""
    task, kind = model["task"], model["kind"]
    if kind == "text":
        if task != "classification":
            yield Problem("model.task", "classification with kind text", task)
        if len(model["features"]) != 1:
            yield Problem("model.features", "one column with kind text, the text", str(len(model["features"])))
        if "query" in model:
            yield Problem("model.query", "none with kind text", "one")
    if (metric := model.get("metric")) and metric != METRICS[task]:
        yield Problem("model.metric", f"{METRICS[task]} with task {task}", metric)
    if task == "classification" and "baseline" in model:
        yield Problem("model.baseline", "none with task classification", model["baseline"])
    if "horizon" in model and "query" not in model:
        yield Problem("model.horizon", "model.query, which sees it as :horizon", "none")


def name_problems(model: dict) -> Iterator[Problem]:
    """Features are there once; the label is none of them, and neither is what tells a row."""
    seen: dict[str, str] = {}
    for number, name in enumerate(model["features"]):
        place = f"model.features[{number}]"
        if name.lower() in seen:
            same = seen[name.lower()]
            yield Problem(place, "each feature once", name if same == name else f"{name} beside {same}")
        elif name.lower() == model["label"].lower():
            yield Problem(place, "what is known before the label", f"{name}, the label itself")
        elif name in KEPT:
            yield Problem(place, "what the label can be learned from", f"{name}, by which a row is told")
        seen.setdefault(name.lower(), name)
    if model["label"] in KEPT:
        yield Problem("model.label", "a column to learn", f"{model['label']}, by which a row is told")
    if "baseline" in model and model["baseline"].lower() == model["label"].lower():
        yield Problem("model.baseline", "a forecast of the label", f"{model['baseline']}, the label itself")


def query_problems(
    path: str, query: str, view: str, columns: Iterable[str], types: dict[str, dict]
) -> Iterator[Problem]:
    """A query is one SELECT from its view, and names the columns that it must yield."""
    code = code_of(query)
    first = code.split()[0] if code.split() else "nothing"
    if first.upper() != "SELECT":
        yield Problem(path, f"one SELECT … FROM {view}", f"{first[:30]} at its beginning")
        return
    if re.search(r";\s*\S", code):
        yield Problem(path, f"one SELECT … FROM {view}", "several statements, parted by ;")
    if not re.search(rf"(?i)\b(from|join)\s+`?{view}\b", code):
        yield Problem(path, f"one SELECT … FROM {view}", f"no FROM {view}")
    if path == "query" and re.search(r":horizon\b", code):
        yield Problem(path, "no parameter", ":horizon, which model.query alone has")
    top = {name.split(".")[0] for name in types} if STAR.search(code) else set()
    for column in columns:
        if column not in words_in(code) and column not in top:
            yield Problem(path, f"a query that yields {column}", "none of this name")


def model_query_problems(model: dict) -> Iterator[Problem]:
    if "query" not in model:
        return
    yield from query_problems("model.query", model["query"], "rows", (), {})
    if "horizon" not in model and re.search(r":horizon\b", code_of(model["query"])):
        yield Problem("model.horizon", "a whole number, since model.query has :horizon", "nothing")


def yield_problems(query: str, model: dict) -> Iterator[Problem]:
    """What the model names is named in the last query, unless a star stands there."""
    path = "model.query" if "query" in model else "query"
    code = code_of(model.get("query", query))
    if STAR.search(code):
        return
    words = words_in(code)
    named = [("model.label", model["label"])]
    named += [(f"model.features[{number}]", name) for number, name in enumerate(model["features"])]
    named += [("model.baseline", model["baseline"])] if "baseline" in model else []
    for place, name in named:
        if name not in words:
            found = f"{name}, which it does not name"
            yield Problem(place, f"a column that {path} yields", found, hint_for(name, words))
    if model["split"] == "time" and "eventTimestamp" not in words:
        yield Problem("model.split", f"a {path} that yields eventTimestamp, by which time splits", "none of this name")


def monitoring_problems(query: str, model: dict, monitoring: dict) -> Iterator[Problem]:
    """The columns that are looked at are named in the last query, unless a star stands there, and each is told once."""
    path = "model.query" if "query" in model else "query"
    code, seen = code_of(model.get("query", query)), dict[str, str]()
    words = words_in(code)
    named = [("monitoring.source", monitoring["source"])] if monitoring.get("source") else []
    for key in ("ignore", "categories"):
        for number, name in enumerate(monitoring.get(key) or []):
            place = f"monitoring.{key}[{number}]"
            named.append((place, name))
            if other := seen.get(name):
                yield Problem(place, "each column once", f"{name}, as in {other}")
            seen.setdefault(name, place)
    for place, name in named:
        if name not in words and not STAR.search(code):
            found = f"{name}, which it does not name"
            yield Problem(place, f"a column that {path} yields", found, hint_for(name, words))


def words_in(code: str) -> set[str]:
    return set(re.findall(r"\w+", code))


def hint_for(name: str, words: set[str]) -> str:
    """Which of the words may be meant: first those that differ by case alone."""
    if len(words) > MANY_WORDS:
        return ""
    return did_you_mean(name, sorted(words, key=lambda one: (one.lower() != name.lower(), one)))
