"""A run that lies alone, without the name of its model around it, as Vertex AI copies one into a bucket of its own."""

from brigade.models.manifest import run_folder
from brigade.storage import FileState, Folder


class LoneRun:
    """The folder of one run, to be read as a folder of models that holds this run of this model and nothing else."""

    def __init__(self, run: Folder, name: str, run_id: str):
        self.run, self.name, self.place = run, name, run_folder(name, run_id)

    def folders(self, folder: str = "") -> list[str]:
        return [] if folder else [self.name]

    def files(self, folder: str = "") -> dict[str, FileState]:
        return self.run.files() if folder == self.place else {}

    def read(self, path: str, limit: int) -> tuple[bytes, str]:
        """As Folder.read. Raises FileNotFoundError for whatever is not of the run."""
        folder, _, file = path.rpartition("/")
        if folder != self.place:
            raise FileNotFoundError(path)
        return self.run.read(file, limit)

    def write(self, path: str, content: bytes, version: str | None = None) -> None:
        raise PermissionError(f"{path}: expected a folder of models, found a run that is kept as it is")
