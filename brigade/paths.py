"""What a path means: which spellings name the same place, and which places lie in one another.

A path is `gs://bucket/prefix`, a local one, or a URI of another file system that Spark knows. Nothing here asks Cloud
Storage; of local paths the links count.
"""

import itertools
import os
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path

from brigade.errors import WrongInput

URI = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]+):(?=/)(?://([^/]*))?(/.*)?", re.DOTALL)  # scheme, authority, path
BUCKET_URI = re.compile(r"gs://([a-z0-9][a-z0-9._-]+)(?:/(.*))?")


def resolved(path: str) -> str:
    """The one spelling of a place: no `.`, `..`, `//` or slash at its end; a local one absolute, without links.

    Takes `gs://bucket/prefix`, a local path, `file:///path`, and URIs of other file systems that Spark knows. Raises
    WrongInput for an empty path, a bucket without a name, and files of another machine.
    """
    path = local_path(path)
    if uri := URI.fullmatch(path):
        scheme, authority, rest = uri[1].lower(), uri[2] or "", (uri[3] or "").lstrip("/")
        if scheme == "gs" and not authority:
            raise WrongInput(f"expected gs://bucket/prefix or a local path, found {path!r}")
        return f"{scheme}://{authority}{posixpath.normpath(f'/{rest}')}".rstrip("/")
    if not path:
        raise WrongInput("expected gs://bucket/prefix or a local path, found an empty one")
    return re.sub("^/+", "/", os.path.realpath(path))


def local_path(path: str) -> str:
    """The path without `file:`; another one as it is. Raises WrongInput for the files of another machine."""
    uri = URI.fullmatch(path)
    if not uri or uri[1].lower() != "file":
        return path
    if uri[2] not in (None, "", "localhost"):
        raise WrongInput(f"expected file:///path, found {path!r}, which names the machine {uri[2]!r}")
    return uri[3] or "/"


def lies_in(inner: str, outer: str) -> bool:
    """Whether a path names another one's place or a place below it, however the two are spelled."""
    inner, outer = resolved(inner), resolved(outer)
    if f"{inner}/".startswith(f"{outer.rstrip('/')}/"):
        return True
    if not (inner.startswith("/") and os.path.exists(outer)):
        return False
    # The same folder may have two names without a link, by a mount or on a disk that ignores case.
    above = [inner, *map(str, Path(inner).parents)]
    return any(os.path.exists(one) and os.path.samefile(one, outer) for one in above)


def check_apart(paths: dict[str, str]) -> None:
    """Raises WrongInput if one of the places is, or lies in, another: writing to it would change what is read.

    `paths` are by name, as in {"input": …, "output": …}. A folder holds what links in it lead to.
    """
    refuse_inner({name: [path] for name, path in paths.items()})  # links are looked for later: it may be a whole disk
    refuse_inner({name: [path, *links_below(path)] for name, path in paths.items()})


def refuse_inner(places: dict[str, list[str]]) -> None:
    """Raises WrongInput if a path of one place is, or lies in, one of another."""
    for name, other in itertools.permutations(places, 2):
        for inner, outer in itertools.product(places[name], places[other]):
            if lies_in(inner, outer):
                one, two = shown(inner), shown(outer)
                raise WrongInput(f"the {name} path {one} lies in the {other} path {two}; choose another")


def links_below(path: str) -> Iterator[str]:
    """The links to folders below a local folder."""
    for folder, names, _ in os.walk(local_path(path)):
        yield from (link for name in names if os.path.islink(link := f"{folder}/{name}"))


def shown(path: str) -> str:
    """A path as it was given, and what it means if that is something else."""
    place = resolved(path)
    return path if path.rstrip("/") == place else f"{path} ({place})"


def sibling(path: str, name: str) -> str:
    """The file or folder of that name beside the path. Raises WrongInput beside a whole bucket or disk."""
    beside = local_path(path).rstrip("/")
    if beside.rpartition("/")[2] in ("", ".", ".."):
        beside = resolved(path)
    parent, separator, last = beside.rpartition("/")
    if not last or parent.endswith(":/"):
        raise WrongInput(
            f"expected gs://bucket/prefix or a local path, found {path!r}, which has nothing beside it; "
            f"name the place of {name}"
        )
    return f"{parent}{separator}{name}"
