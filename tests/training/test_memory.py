"""Which test documents the champion has learned: from its data.json, and when that cannot be followed."""

import json
import shutil
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from brigade.models.manifest import DATA_FILE
from brigade.storage import folder_at
from brigade.training.champion import Champion, read_champion
from brigade.training.data_version import data_version
from brigade.training.documents import SPLIT_RULE, labelled_documents, part_documents
from brigade.training.memory import memory_of
from brigade.training.options import Options
from tests.models.written_models import OLD, sha256, write_manifest, write_model
from tests.training.made_up_documents import texts

COLUMNS = "payload string, superTag01 string, eventId string, eventTimestamp timestamp, publishTime timestamp"
CREATED = datetime(2026, 1, 5, 2, 10, tzinfo=UTC)


def published(spark, path: Path, rows: list[tuple[str, str]], since: datetime, prefix: str = "e"):
    """Parquet of these texts and labels, published an hour after one another."""
    times = [since + timedelta(hours=number) for number in range(len(rows))]
    rows = [(*row, f"{prefix}{n}", at, at) for n, (row, at) in enumerate(zip(rows, times, strict=True))]
    spark.createDataFrame(rows, COLUMNS).coalesce(1).write.mode("append").parquet(str(path))
    return spark.read.parquet(str(path))


class World:
    """A champion that has learned some documents, and a run that follows it."""

    def __init__(self, spark, folder: Path):
        self.spark, self.folder = spark, folder
        self.models, self.data = folder_at(str(folder / "models")), folder / "data"
        self.rows = list(dict(texts(400, seed=3)).items())
        self.events = published(spark, self.data, self.rows, CREATED - timedelta(days=60))

    def champion(self, then: Options | None = None, test: Path | None = None, **changes) -> Champion:
        """A model with the data.json of a run on the events. changes: of its members; None removes one."""
        data = data_version(self.spark, self.events, str(self.data)) | {"options": asdict(then or Options())}
        held_out = self.spark.read.parquet(str(test)) if test else None
        data |= {"splitRule": SPLIT_RULE, "test": data_version(self.spark, held_out, str(test)) if test else None}
        data = {name: value for name, value in (data | changes).items() if value is not None or name == "test"}
        manifest = write_model(self.folder / "models", OLD)
        file = self.folder / "models" / OLD / "runs" / "run-1" / DATA_FILE
        file.write_text(json.dumps(data))
        entry = {"name": DATA_FILE, "size": file.stat().st_size, "sha256": sha256(file)}
        manifest |= {"files": [*manifest["files"], entry], "createdAt": f"{CREATED:%Y-%m-%dT%H:%M:%SZ}"}
        write_manifest(self.folder / "models", OLD, manifest)
        return read_champion(self.models, "models")

    def grow(self, rows: list[tuple[str, str]], since: datetime = CREATED + timedelta(hours=1)) -> None:
        self.events = published(self.spark, self.data, rows, since, "more")

    def parts(self, options: Options | None = None, test: Path | None = None):
        held_out = self.spark.read.parquet(str(test)) if test else None
        return part_documents(self.events, held_out, options or Options())

    def new(self, champion: Champion, documents) -> set[str]:
        """The texts of the test documents that the champion has certainly not learned."""
        memory = memory_of(self.spark, champion)
        return {row.payload for row in memory.without_learned(documents).collect()}


@pytest.fixture
def world(spark, tmp_path) -> World:
    return World(spark, tmp_path)


def of_part(documents, *names: str) -> set[str]:
    return {row.payload for row in documents.where(documents.part.isin(*names)).select("payload").collect()}


@pytest.mark.long
@pytest.mark.parametrize(
    ("then", "now"),
    [
        (Options(), Options(seed=1)),
        (Options(seed=5), Options(split="time")),
        (Options(split="time"), Options()),
        (Options(), Options()),
    ],
)
def test_what_an_earlier_split_put_into_training_is_learned_whatever_the_split_is_now(world, then, now):
    learned = of_part(world.parts(then), "train", "validation")
    tested = of_part(world.parts(now), "test")
    assert world.new(world.champion(then), world.parts(now)) == tested - learned
    assert tested - learned if then == now else tested & learned


@pytest.mark.long
def test_a_test_set_that_the_champion_trained_on_is_learned(world, spark, tmp_path):
    published(spark, tmp_path / "test", world.rows[:100] + list(texts(60, seed=8)), CREATED, "t")
    learned = of_part(world.parts(), "train", "validation")
    documents = world.parts(test=tmp_path / "test")
    found = world.new(world.champion(), documents)
    assert found == of_part(documents, "test") - learned
    assert {text for text, _ in texts(60, seed=8)} - learned <= found


@pytest.mark.long
def test_the_champions_own_test_set_is_not_learned_nor_what_repeats_it(world, spark, tmp_path):
    published(spark, tmp_path / "test", world.rows[:100], CREATED, "t")
    documents = world.parts(test=tmp_path / "test")
    assert world.new(world.champion(test=tmp_path / "test"), documents) == {text for text, _ in world.rows[:100]}


@pytest.mark.long
def test_of_growing_data_the_new_documents_and_the_champions_own_test_part_are_new(world):
    champion, learned = world.champion(), of_part(world.parts(), "train", "validation")
    world.grow(list(texts(400, seed=9)))
    tested = of_part(world.parts(), "test")
    assert world.new(champion, world.parts()) == tested - learned != tested


@pytest.mark.long
def test_a_near_copy_of_what_was_learned_is_learned(world):
    champion, learned = world.champion(), of_part(world.parts(), "train", "validation")
    world.grow([(f"  {text.upper()}\n", label) for text, label in world.rows if text in learned])
    assert not {" ".join(text.lower().split()) for text in world.new(champion, world.parts())} & learned


@pytest.mark.long
@pytest.mark.parametrize("changes", [{"splitRule": None}, {"splitRule": 1}, {"options": {"unknown": 1}}])
def test_of_a_champion_of_another_version_of_the_code_all_files_count_as_learned(world, changes):
    champion, before = world.champion(**changes), {text for text, _ in world.rows}
    assert world.new(champion, world.parts()) == set()
    world.grow(list(texts(400, seed=9)), since=CREATED - timedelta(days=90))
    tested = of_part(world.parts(), "test")
    assert world.new(champion, world.parts()) == tested - before != set()


def gone(world: World, champion: Champion) -> Champion:
    """What a full conversion does: the same rows in other files."""
    rows, schema = world.events.collect(), world.events.schema
    shutil.rmtree(world.data)
    world.spark.createDataFrame(rows, schema).coalesce(1).write.parquet(str(world.data))
    world.events = world.spark.read.parquet(str(world.data))
    return champion


def rewritten(world: World) -> None:
    for file in world.data.glob("*.parquet"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        (file.parent / f".{file.name}.crc").unlink()
        shutil.move(file, world.folder / file.name)
        file.write_bytes(content)


def without_data(world: World, champion: Champion) -> Champion:
    return replace(champion, data={})


def of_another_form(world: World, champion: Champion) -> Champion:
    return replace(champion, data={"splitRule": SPLIT_RULE, "parquet": 7, "files": [[]], "options": [], "test": []})


@pytest.mark.long
@pytest.mark.parametrize("accident", [gone, without_data, of_another_form])
def test_without_the_champions_files_only_what_was_published_later_is_new(world, accident):
    champion, before = world.champion(), {text for text, _ in world.rows}
    world.grow([*texts(400, seed=9), *world.rows[:50]])  # published once more, which makes none of them new
    champion = accident(world, champion)
    tested = of_part(world.parts(), "test")
    assert world.new(champion, world.parts()) == tested - before != set()


def test_a_changed_file_of_the_champions_is_not_followed(world):
    champion, documents = world.champion(), world.parts().persist()
    documents.count()
    rewritten(world)
    assert world.new(champion, documents) == set()
    documents.unpersist()


def test_why_the_champions_data_cannot_be_read_is_in_the_reason_and_is_a_warning(world, caplog):
    champion = replace(world.champion(), data={"splitRule": 1})
    assert "cannot be read (KeyError: 'files'), so all that was" in memory_of(world.spark, champion).how
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [(level, "expected splitRule" in text) for level, text in told][:1] == [("WARNING", True)], told


@pytest.mark.long
@pytest.mark.parametrize("created", ["yesterday", "2026-01-05T02:10:00", ""])
def test_if_nobody_knows_when_the_champion_was_made_nothing_is_new(world, created):
    champion = replace(world.champion(), data={}, created_at=created)
    world.grow(list(texts(100, seed=9)))
    assert world.new(champion, world.parts()) == set()


@pytest.mark.long
def test_documents_without_a_time_of_publication_are_not_certainly_new(world):
    champion = replace(world.champion(), data={})
    world.grow(list(texts(100, seed=9)))
    world.events = world.events.drop("publishTime")
    assert world.new(champion, world.parts()) == set()


def test_documents_carry_when_they_were_published(world):
    found = labelled_documents(world.events, "superTag01").orderBy("published").first()
    assert found.published.timestamp() == (CREATED - timedelta(days=60)).timestamp()
