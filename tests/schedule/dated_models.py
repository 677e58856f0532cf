"""Models for the trigger, which looks for a manifest under a dated name."""

from pathlib import Path


def write_manifest(root: Path, day: str, name: str = "manifest.json") -> None:
    folder = root / f"doc-classification-model-{day}"
    folder.mkdir()
    (folder / name).write_text('{"promoted": false}')
