"""What Terraform's expressions come to, without Terraform and without a project.

    values = Values(configuration, {"project_id": "my-project"})
    values.instances("google_storage_bucket.input")[None].get("name")    "my-project-ml-input"

What only the cloud knows (a URI, a number) becomes its own reference in angle brackets, `<google_….uri>`, so that it
can stand in a text; what the provider derives from a resource's arguments, such as a service account's e-mail address,
is derived here too. An expression with something that is not there raises TerraformError.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from lark import Token, Tree

from tests.terraform.terraform_files import (
    FOLDER,
    Block,
    Configuration,
    TerraformError,
    is_name,
    iterator_of,
    only_child,
    subtrees,
    text_of,
    unescape,
)
from tests.terraform.terraform_functions import FUNCTIONS, OPERATORS, Set, as_text

# What the provider makes of a resource's arguments: type → attribute → template of arguments and {project}.
ACCOUNT = "{account_id}@{project}.iam.gserviceaccount.com"
DERIVED = {
    "google_service_account": {
        "email": ACCOUNT,
        "member": f"serviceAccount:{ACCOUNT}",
        "name": f"projects/{{project}}/serviceAccounts/{ACCOUNT}",
        "id": f"projects/{{project}}/serviceAccounts/{ACCOUNT}",
    },
    "google_pubsub_topic": {"id": "projects/{project}/topics/{name}"},
    "google_pubsub_subscription": {"id": "projects/{project}/subscriptions/{name}"},
    "google_project_iam_custom_role": {"name": "projects/{project}/roles/{role_id}"},
    "google_compute_subnetwork": {"id": "projects/{project}/regions/{region}/subnetworks/{name}"},
    "google_storage_bucket": {"id": "{name}", "url": "gs://{name}"},
    "google_artifact_registry_repository": {
        "name": "{repository_id}",
        "id": "projects/{project}/locations/{location}/repositories/{repository_id}",
    },
}


class Unknown(str):
    """A value that is known after apply only, as the text of its own reference."""


class Values:
    """All values of a configuration. variables: those that have no default, or another value than it."""

    def __init__(self, configuration: Configuration, variables: Mapping[str, object], folder: Path = FOLDER):
        self.configuration, self.given, self.folder = configuration, variables, folder
        self.computed: dict[str, object] = {}  # address → what was asked for already

    def variable(self, name: str) -> object:
        block = self.configuration.variables.get(name)
        if block is None:
            raise TerraformError(f"var.{name}: expected a variable's name")
        if name in self.given:
            return self.given[name]
        if "default" not in block.attributes:
            raise TerraformError(f"{block.where}: var.{name} has no default and no value")
        return self.value(block.attributes["default"], {})

    def refusals(self, name: str) -> list[str]:
        """The error messages of the variable's validations that its value does not pass."""
        rules = [Body(self, block, {}) for block in self.configuration.variables[name].inside("validation")]
        return [rule.get("error_message") for rule in rules if not rule.get("condition")]

    def local(self, name: str) -> object:
        if name not in self.configuration.locals:
            raise TerraformError(f"local.{name}: expected a local value's name")
        address = f"local.{name}"
        if address not in self.computed:
            self.computed[address] = self.value(self.configuration.locals[name][1], {})
        return self.computed[address]

    def output(self, name: str) -> object:
        return self.value(self.configuration.outputs[name].attributes["value"], {})

    def instances(self, address: str) -> dict[object, "Body"]:
        """Key → one instance of a resource or data source; the key is None without for_each or count."""
        if address not in self.computed:
            self.computed[address] = self._instances(address)
        return self.computed[address]

    def _instances(self, address: str) -> dict[object, "Body"]:
        block = self.configuration.resources.get(address)
        if block is None:
            raise TerraformError(f"{address}: expected a resource's address")
        if "for_each" in block.attributes:
            chosen = self.value(block.attributes["for_each"], {})
            pairs = chosen.items() if isinstance(chosen, dict) else ((key, key) for key in chosen)
            return {key: Body(self, block, {"each": {"key": key, "value": value}}) for key, value in pairs}
        if "count" in block.attributes:
            times = range(self.value(block.attributes["count"], {}))
            return {index: Body(self, block, {"count": {"index": index}}) for index in times}
        return {None: Body(self, block, {})}

    def all_of(self, kind: str) -> Iterator["Body"]:
        """Every instance of the resources and data sources of that type."""
        for address, block in self.configuration.resources.items():
            if block.labels[0] == kind:
                yield from self.instances(address).values()

    # ------------------------------------------------------------------------------------------ expressions

    def value(self, tree: Tree, scope: Mapping[str, object]) -> object:
        """What an expression comes to. scope: each, count, and the names of for expressions and dynamic blocks."""
        tree = only_child(tree)
        if tree.data == "expr_term":  # in parentheses
            return self.value(subtrees(tree)[0], scope)
        known = getattr(self, f"_{tree.data}", None)
        if known is None:
            raise TerraformError(f"expected an expression that the tests know, found {tree.data}")
        return known(tree, scope)

    def _string(self, tree: Tree, scope: Mapping) -> str:
        pieces = []
        for part in (part.children[0] for part in subtrees(tree)):
            if isinstance(part, Token):
                pieces.append(unescape(part))
            else:
                pieces.append(self.value(subtrees(part)[0], scope))
        if len(pieces) == 1 and not isinstance(pieces[0], str):
            return pieces[0]
        return "".join(as_text(piece) for piece in pieces)

    def _int_lit(self, tree: Tree, scope: Mapping) -> int:
        return int(tree.children[0])

    def _float_lit(self, tree: Tree, scope: Mapping) -> float:
        return float(tree.children[0])

    def _literal_value(self, tree: Tree, scope: Mapping) -> bool | None:
        return {"true": True, "false": False, "null": None}[str(tree.children[0])]

    def _tuple(self, tree: Tree, scope: Mapping) -> list:
        return [self.value(part, scope) for part in subtrees(tree)]

    def _object(self, tree: Tree, scope: Mapping) -> dict:
        found = {}
        for element in subtrees(tree):
            key, value = subtrees(element)
            name = text_of(only_child(key.children[0])) if is_name(key) else self.value(key.children[0], scope)
            found[as_text(name)] = self.value(value, scope)
        return found

    def _conditional(self, tree: Tree, scope: Mapping) -> object:
        condition, yes, no = subtrees(tree)
        return self.value(yes if self.value(condition, scope) else no, scope)

    def _binary_op(self, tree: Tree, scope: Mapping) -> object:
        left, term = subtrees(tree)
        operator, right = subtrees(term)
        return OPERATORS[str(operator.children[0]).strip()](self.value(left, scope), lambda: self.value(right, scope))

    def _unary_op(self, tree: Tree, scope: Mapping) -> object:
        value = self.value(subtrees(tree)[0], scope)
        return -value if str(tree.children[0]) == "-" else not value

    def _for_tuple_expr(self, tree: Tree, scope: Mapping) -> list:
        _, body, *condition = subtrees(tree)
        return [self.value(body, inner) for inner in self._each(tree, scope, condition)]

    def _for_object_expr(self, tree: Tree, scope: Mapping) -> dict:
        _, key, body, *condition = subtrees(tree)
        found: dict = {}
        grouped = any(is_ellipsis(part) for part in tree.children)
        for inner in self._each(tree, scope, condition):
            name, value = as_text(self.value(key, inner)), self.value(body, inner)
            if grouped:
                found.setdefault(name, []).append(value)
            elif name in found:
                raise TerraformError(f"for expression: expected {name} once as a key, found it twice")
            else:
                found[name] = value
        return found

    def _each(self, tree: Tree, scope: Mapping, condition: list[Tree]) -> Iterator[dict]:
        """The scope of each turn of a for expression."""
        *names, source = subtrees(subtrees(tree)[0])
        names = [str(name.children[0]) for name in names]
        for key, value in pairs_of(self.value(source, scope)):
            inner = {**scope, **dict(zip(names, (key, value)[-len(names) :], strict=True))}
            if not condition or self.value(subtrees(condition[0])[0], inner):
                yield inner

    def _function_call(self, tree: Tree, scope: Mapping) -> object:
        name = str(tree.children[0].children[0])
        arguments = [part for list_ in subtrees(tree)[1:] for part in subtrees(list_)]
        if name in ("try", "can"):
            for argument in arguments:
                try:
                    value = self.value(argument, scope)
                except TerraformError:
                    continue
                return value if name == "try" else True
            if name == "can":
                return False
            raise TerraformError("try: expected one expression that can be computed, found none")
        values = [self.value(argument, scope) for argument in arguments]
        if any(is_ellipsis(token) for list_ in subtrees(tree)[1:] for token in list_.children):
            values[-1:] = values[-1]
        if name in ("file", "templatefile"):
            text = self._file(values[0])
            return self._template(text, values[1]) if name == "templatefile" else text
        if name not in FUNCTIONS:
            raise TerraformError(f"expected a function that the tests know, found {name}")
        return FUNCTIONS[name](*values)

    def _file(self, path: str) -> str:
        found = self.folder / path
        if not found.is_file():
            raise TerraformError(f"file: expected a file at {path}, found none")
        return found.read_text("utf-8")

    def _identifier(self, tree: Tree, scope: Mapping) -> object:
        name = str(tree.children[0])
        if name not in scope:
            raise TerraformError(f"expected a name that is known here, found {name}")
        return scope[name]

    def _index_expr_term(self, tree: Tree, scope: Mapping) -> object:
        base, index = tree.children
        key = self.value(subtrees(index)[0], scope) if index.data == "braces_index" else int(index.children[-1])
        return step_into(self._base(base, scope), key)

    def _get_attr_expr_term(self, tree: Tree, scope: Mapping) -> object:
        base, attribute = tree.children
        return step_into(self._base(base, scope), str(attribute.children[-1].children[0]))

    def _full_splat_expr_term(self, tree: Tree, scope: Mapping) -> list:
        base, splat = tree.children
        value = self._base(base, scope)
        members = value if isinstance(value, list) else [value]
        for part in subtrees(splat):
            if part.data == "get_attr":
                members = [step_into(member, str(part.children[-1].children[0])) for member in members]
            else:
                members = [step_into(member, self.value(subtrees(part)[0], scope)) for member in members]
        return members

    _attr_splat_expr_term = _full_splat_expr_term

    def _base(self, tree: Tree, scope: Mapping) -> object:
        """What stands before a dot or bracket: a namespace, all instances of a resource, or a value."""
        tree = only_child(tree)
        if tree.data == "identifier" and (name := str(tree.children[0])) not in scope:
            return Names(self, (name,))
        return self.value(tree, scope)


class Names:
    """The beginning of a reference that is no value yet: `var`, `data.google_project`, `google_storage_bucket`."""

    def __init__(self, values: Values, parts: tuple[str, ...]):
        self.values, self.parts = values, parts

    def get(self, name: str) -> object:
        parts = (*self.parts, name)
        if parts[0] == "path":
            return "."
        if parts[0] == "terraform":
            return Unknown(f"<terraform.{name}>")
        if parts[0] in ("var", "local"):
            return self.values.variable(name) if parts[0] == "var" else self.values.local(name)
        if len(parts) < (3 if parts[0] == "data" else 2):
            return Names(self.values, parts)
        instances = self.values.instances(".".join(parts))
        return instances.get(None, instances)


class Body:
    """The contents of one instance of a resource, or of a block in it, as values."""

    def __init__(self, values: Values, block: Block, scope: Mapping[str, object], outer: "Body | None" = None):
        self.values, self.block, self.scope, self.outer = values, block, scope, outer

    def __contains__(self, name: str) -> bool:
        return name in self.block.attributes or bool(self.inside(name))

    def get(self, name: str) -> object:
        """An argument's value; nested blocks as a list; for what the configuration does not say, what is derived from
        it or its Unknown."""
        if name in self.block.attributes:
            try:
                return self.values.value(self.block.attributes[name], self.scope)
            except TerraformError as error:
                raise TerraformError(f"{self.block.where}: {name}: {error}") from None
        if self.inside(name):
            return self.inside(name)
        rule = DERIVED.get(self.block.labels[0] if self.block.labels else "", {}).get(name)
        if rule:
            arguments = {key: self.get(key) for key in self.block.attributes if f"{{{key}}}" in rule}
            return rule.format_map({"project": self.values.variable("project_id")} | arguments)
        return Unknown(f"<{self.path}.{name}>")

    @property
    def path(self) -> str:
        return f"{self.outer.path}.{self.block.kind}" if self.outer else self.block.address

    def inside(self, name: str) -> list["Body"]:
        """The nested blocks of that name; dynamic ones as often as their for_each says."""
        found = [Body(self.values, block, self.scope, self) for block in self.block.inside(name)]
        for block in self.block.inside("dynamic"):
            if block.labels[0] == name:
                iterator = iterator_of(block)
                (content,) = block.inside("content")
                content = Block(name, (), content.file, content.line, content.attributes, content.blocks)
                for key, value in pairs_of(self.values.value(block.attributes["for_each"], self.scope)):
                    scope = {**self.scope, iterator: {"key": key, "value": value}}
                    found.append(Body(self.values, content, scope, self))
        return found

    def everything(self) -> dict[str, object]:
        """All arguments and blocks, computed; what cannot be computed raises TerraformError."""
        names = {block.labels[0] if block.kind == "dynamic" else block.kind for block in self.block.blocks}
        found = {name: self.get(name) for name in self.block.attributes if name not in ("depends_on", "provider")}
        return found | {name: [body.everything() for body in self.inside(name)] for name in names - {"lifecycle"}}


def is_ellipsis(token: object) -> bool:
    return isinstance(token, Token) and token.type == "ELLIPSIS"


def step_into(value: object, key: object) -> object:
    """`value.key` or `value[key]`."""
    if isinstance(value, (Names, Body)):
        return value.get(str(key)) if not isinstance(key, int) else value
    if isinstance(value, Unknown):
        return Unknown(f"{value[:-1]}.{key}>") if isinstance(key, str) else value
    try:
        return value[key if not isinstance(value, dict) or key in value else str(key)]
    except (KeyError, IndexError, TypeError):
        known = sorted(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise TerraformError(f"expected one of {known}, found {key!r}") from None


def pairs_of(value: object) -> list[tuple[object, object]]:
    """Key and value of each member, in the order in which Terraform goes through them."""
    if isinstance(value, dict):
        return sorted(value.items(), key=lambda pair: str(pair[0]))
    if isinstance(value, Set):
        return [(member, member) for member in value]
    return list(enumerate(value))
