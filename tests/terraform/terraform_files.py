"""Terraform files as Python objects: the blocks, the references in their expressions, and what depends on what.

    files = terraform_files.read()                        {"storage.tf": its text, …}
    configuration = terraform_files.parse(files)
    configuration.resources["google_storage_bucket.data"].attributes["name"]

Expressions stay syntax trees, since a reference and a text that looks like one must not be mixed up; heredocs become
the same trees as quoted templates.
"""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import hcl2
from lark import Token, Tree
from lark.exceptions import LarkError

FOLDER = Path(__file__).parents[2] / "terraform"
INDEX, SPLAT = "[]", "[*]"  # steps of a reference that are no names
# What Terraform itself gives names to, beside resources.
ROOTS = {"var", "local", "data", "module", "path", "terraform", "each", "count", "self"}
# Arguments in which a bare name is no reference.
NOT_VALUES = {("variable", "type"), ("lifecycle", "ignore_changes"), ("resource", "provider"), ("data", "provider")}


class TerraformError(Exception):
    """What is wrong with the files, in one line that starts with file and line."""


@dataclass(frozen=True)
class Block:
    """`kind "label" … { … }`; an attribute's value is its expression's tree."""

    kind: str
    labels: tuple[str, ...]
    file: str
    line: int
    attributes: Mapping[str, Tree] = field(default_factory=dict)
    blocks: tuple["Block", ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def address(self) -> str:
        """As references name it: google_storage_bucket.data, data.google_project.this, var.region."""
        prefix = {"resource": (), "variable": ("var",)}.get(self.kind, (self.kind,))
        return ".".join((*prefix, *self.labels))

    def inside(self, kind: str) -> list["Block"]:
        """The nested blocks of that name, as they stand."""
        return [block for block in self.blocks if block.kind == kind]


@dataclass(frozen=True)
class Reference:
    """`root.step.step`: names, INDEX for an index and SPLAT for a splat."""

    root: str
    steps: tuple[str, ...]
    where: str

    @property
    def names(self) -> tuple[str, ...]:
        """Root and steps without indexes and splats."""
        return (self.root, *(step for step in self.steps if step not in (INDEX, SPLAT)))

    @property
    def address(self) -> str | None:
        """Of the block or local value that it refers to; None for each, path and the like."""
        if self.root in ROOTS - {"var", "local", "data"}:
            return None
        return ".".join(self.names[: 3 if self.root == "data" else 2])

    @property
    def attribute(self) -> tuple[str, ...]:
        """The names behind the address."""
        return self.names[3 if self.root == "data" else 2 :]

    def __str__(self) -> str:
        return self.root + "".join(step if step in (INDEX, SPLAT) else f".{step}" for step in self.steps)


@dataclass(frozen=True)
class Configuration:
    """All files of one folder."""

    blocks: tuple[Block, ...]

    def of_kind(self, kind: str) -> list[Block]:
        return [block for block in self.blocks if block.kind == kind]

    @functools.cached_property
    def resources(self) -> dict[str, Block]:
        """Address → block, of resources and data sources."""
        return {block.address: block for kind in ("resource", "data") for block in self.of_kind(kind)}

    @functools.cached_property
    def variables(self) -> dict[str, Block]:
        return {block.labels[0]: block for block in self.of_kind("variable")}

    @functools.cached_property
    def outputs(self) -> dict[str, Block]:
        return {block.labels[0]: block for block in self.of_kind("output")}

    @functools.cached_property
    def locals(self) -> dict[str, tuple[Block, Tree]]:
        """Name → the block that it stands in, and its expression."""
        return {name: (block, tree) for block in self.of_kind("locals") for name, tree in block.attributes.items()}

    def required_providers(self) -> dict[str, Tree]:
        """Local name → the expression with its source and version."""
        found = {}
        for block in self.of_kind("terraform"):
            for inner in block.inside("required_providers"):
                found |= inner.attributes
        return found

    def addresses(self) -> set[str]:
        """All that can be referred to."""
        named = {f"var.{name}" for name in self.variables} | {f"local.{name}" for name in self.locals}
        return named | self.resources.keys()

    def dependencies(self) -> dict[str, set[str]]:
        """Address → the addresses that it refers to, of resources, data sources and local values."""
        found = {}
        for address, block in self.resources.items():
            found[address] = {reference.address for reference in references(block)}
        for name, (block, tree) in self.locals.items():
            found[f"local.{name}"] = {reference.address for reference in references_in(tree, block.file)}
        return {address: {other for other in others if other} for address, others in found.items()}


def read(folder: Path = FOLDER) -> dict[str, str]:
    """Name → text of the folder's *.tf files."""
    return {path.name: path.read_text("utf-8") for path in sorted(folder.glob("*.tf"))}


def changed(files: Mapping[str, str], name: str, old: str, new: str) -> dict[str, str]:
    """The files with one thing changed, to see a check notice it. Raises ValueError if `old` is not there."""
    if old not in files[name]:
        raise ValueError(f"{name}: expected {old!r}, which is to be replaced")
    return {**files, name: files[name].replace(old, new, 1)}


def parse(files: Mapping[str, str]) -> Configuration:
    """The configuration in those texts. Raises TerraformError for what is no HCL, or is there twice."""
    blocks = tuple(block for name, text in files.items() for block in parse_file(name, text))
    seen: dict[str, Block] = {}
    for block in blocks:
        names = [block.address] if block.labels else [f"local.{name}" for name in block.attributes]
        for name in names if block.kind in ("resource", "data", "variable", "output", "locals") else ():
            if name in seen:
                raise TerraformError(f"{block.where}: {name} is already in {seen[name].where}")
            seen[name] = block
    return Configuration(blocks)


@functools.lru_cache(maxsize=256)
def parse_file(name: str, text: str) -> tuple[Block, ...]:
    body = syntax_tree(text, name).children[0]
    attributes, blocks = contents(body, name)
    if attributes:
        raise TerraformError(f"{name}: expected blocks, found the attribute {next(iter(attributes))}")
    return blocks


def syntax_tree(text: str, where: str) -> Tree:
    try:
        tree = hcl2.parses_to_tree(text)
    except LarkError as error:
        line, message = getattr(error, "line", "?"), str(error).splitlines()[0]
        raise TerraformError(f"{where}:{line}: expected HCL, found {message}") from None
    for node in tree.find_pred(lambda node: node.data.startswith("heredoc_template")):
        line = node.meta.line
        node.data, node.children = "string", heredoc_parts(str(node.children[0]), f"{where}:{line}")
    return tree


def contents(body: Tree, file: str) -> tuple[dict[str, Tree], tuple[Block, ...]]:
    """A body's attributes and blocks. Raises TerraformError for an attribute that is there twice."""
    attributes, blocks = {}, []
    for node in subtrees(body):
        if node.data == "attribute":
            name = str(node.children[0].children[0])
            if name in attributes:
                raise TerraformError(f"{file}:{node.meta.line}: {name} is there twice")
            attributes[name] = node.children[-1]
        elif node.data == "block":
            *names, body = subtrees(node)
            kind, *labels = (text_of(name) for name in names)
            inner = contents(body, file)
            blocks.append(Block(kind, tuple(labels), file, node.meta.line, *inner))
    return attributes, tuple(blocks)


def subtrees(tree: Tree) -> list[Tree]:
    """The children that are trees, but for comments and line ends."""
    return [child for child in tree.children if isinstance(child, Tree) and child.data != "new_line_or_comment"]


def text_of(tree: Tree) -> str:
    """An identifier's or a literal string's text. Raises ValueError for a template."""
    if tree.data == "string":
        parts = [part.children[0] for part in subtrees(tree)]
        if any(isinstance(part, Tree) for part in parts):
            raise ValueError("a template is no literal text")
        return "".join(unescape(part) for part in parts)
    return str(tree.children[0])


def unescape(token: Token) -> str:
    """What a piece of a quoted string means; a heredoc's has no escapes but $${ and %%{."""
    text = str(token)
    if token.type != "HEREDOC_CHARS":
        known = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}
        text = re.sub(r'\\(u[0-9a-fA-F]{4}|[ntr"\\])', lambda m: known.get(m[1]) or chr(int(m[1][1:], 16)), text)
    return text.replace("$${", "${").replace("%%{", "%{")


def heredoc_parts(token: str, where: str) -> list[Tree]:
    """The string_part trees of a heredoc, without the indentation that <<- takes away."""
    lines = token.rstrip("\n").split("\n")
    body = lines[1:-1]
    if token.startswith("<<-"):
        common = min((len(line) - len(line.lstrip(" ")) for line in body if line.strip()), default=0)
        body = [line[common:] for line in body]
    text = "".join(f"{line}\n" for line in body)
    parts, start = [], 0
    for match in re.finditer(r"(?<![$])\$\{|(?<!%)%\{", text):
        if match.start() < start:
            continue
        if match[0] == "%{":
            raise TerraformError(f"{where}: expected no directive in a heredoc, found %{{")
        end = closing_brace(text, match.end(), where)
        parts.append(Tree("string_part", [Token("HEREDOC_CHARS", text[start : match.start()])]))
        parts.append(Tree("string_part", [Tree("interpolation", [expression(text[match.end() : end], where)])]))
        start = end + 1
    return [*parts, Tree("string_part", [Token("HEREDOC_CHARS", text[start:])])]


def closing_brace(text: str, start: int, where: str) -> int:
    """Where the brace closes that was opened before `start`."""
    depth = 1
    for match in re.compile(r'"(?:[^"\\]|\\.)*"|[{}]').finditer(text, start):
        depth += {"{": 1, "}": -1}.get(match[0], 0)
        if depth == 0:
            return match.start()
    raise TerraformError(f"{where}: expected a closing brace, found none")


def expression(text: str, where: str) -> Tree:
    """One expression's tree."""
    (attribute,) = (node for node in subtrees(syntax_tree(f"x = {text}", where).children[0]))
    return attribute.children[-1]


# ------------------------------------------------------------------------------------------------- references


def references(block: Block, names: Iterable[str] = ()) -> list[Reference]:
    """All references of a block and of the blocks in it. names: dynamic blocks' iterators, which are none."""
    found, known = [], set(names)
    if block.kind == "dynamic":
        known.add(iterator_of(block))
    for name, tree in block.attributes.items():
        if (block.kind, name) not in NOT_VALUES and not (block.kind == "dynamic" and name == "iterator"):
            found += references_in(tree, block.file, known)
    for inner in block.blocks:
        found += references(inner, known)
    return found


def iterator_of(block: Block) -> str:
    """The name under which a dynamic block's contents know the member that it is made of."""
    chosen = block.attributes.get("iterator")
    return str(next(chosen.find_data("identifier")).children[0]) if chosen else block.labels[0]


def references_in(tree: Tree, file: str, names: Iterable[str] = ()) -> list[Reference]:
    """The references in an expression, but for `names`, which it has from around it."""
    known = set(names)
    if tree.data in ("for_tuple_expr", "for_object_expr"):
        intro = next(part for part in subtrees(tree) if part.data == "for_intro")
        inner = known | {str(part.children[0]) for part in subtrees(intro) if part.data == "identifier"}
        found = references_in(subtrees(intro)[-1], file, known)
        return found + [ref for part in subtrees(tree) if part is not intro for ref in references_in(part, file, inner)]
    if tree.data == "object_elem_key" and is_name(tree):
        return []
    if tree.data == "function_call":
        return [ref for part in subtrees(tree) if part.data != "identifier" for ref in references_in(part, file, known)]
    if tree.data == "identifier":
        return [] if str(tree.children[0]) in known else [Reference(str(tree.children[0]), (), file)]
    if tree.data in ("get_attr_expr_term", "index_expr_term", "attr_splat_expr_term", "full_splat_expr_term"):
        base, steps, indexes = chain(tree)
        found = [ref for index in indexes for ref in references_in(index, file, known)]
        if base.data != "identifier":
            return found + references_in(base, file, known)
        root = str(base.children[0])
        return found + ([] if root in known else [Reference(root, tuple(steps), f"{file}:{tree.meta.line}")])
    return [ref for part in subtrees(tree) for ref in references_in(part, file, known)]


def is_name(tree: Tree) -> bool:
    """Whether an object's key is a bare name, which stands for itself."""
    return tree.children[0].data == "keyword" or only_child(tree.children[0]).data in ("identifier", "literal_value")


def only_child(tree: Tree) -> Tree:
    """What stands in parentheses and in the tree's own layers; a parenthesized key is an expression, so it stays."""
    while tree.data == "expr_term" and isinstance(tree.children[0], Tree):
        tree = tree.children[0]
    return tree


def chain(tree: Tree) -> tuple[Tree, list[str], list[Tree]]:
    """`base.a["b"][*].c` → the base, the steps, and the indexes' expressions."""
    steps: list[str] = []
    indexes: list[Tree] = []
    while True:
        tree = only_child(tree)
        if tree.data not in ("get_attr_expr_term", "index_expr_term", "attr_splat_expr_term", "full_splat_expr_term"):
            return tree, steps, indexes
        first, last = tree.children[0], tree.children[-1]
        pieces = [SPLAT] if "splat" in tree.data else []
        for part in subtrees(last) if "splat" in tree.data else [last]:
            if part.data == "get_attr":
                pieces.append(str(part.children[-1].children[0]))
            else:
                pieces.append(INDEX)
                indexes += subtrees(part)
        steps = pieces + steps
        tree = first


def unresolved(configuration: Configuration) -> list[str]:
    """Each reference that leads to nothing, as `file:line: what was found`."""
    known, found = configuration.addresses(), []
    for block in configuration.blocks:
        repeated = {"each": "for_each" in block.attributes, "count": "count" in block.attributes}
        for reference in references(block):
            if reference.address is None:
                if not repeated.get(reference.root, reference.root in ("path", "terraform", "self")):
                    found.append(f"{reference.where}: {reference} outside a block with for_each or count")
            elif reference.address not in known:
                found.append(f"{reference.where}: expected something in these files, found {reference}")
    return found


def cycles(dependencies: Mapping[str, set[str]]) -> list[list[str]]:
    """Each circle that a walk along the dependencies meets."""
    found, done = [], set()

    def walk(address: str, way: list[str]) -> None:
        if address in way:
            found.append([*way[way.index(address) :], address])
        elif address not in done:
            for other in sorted(dependencies.get(address, ())):
                walk(other, [*way, address])
            done.add(address)

    for address in sorted(dependencies):
        walk(address, [])
    return found
