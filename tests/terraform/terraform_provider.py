"""A stand-in for Terraform's providers, so that the real `terraform` validates, plans, applies and destroys the files
without a network.

It answers Terraform's plugin protocol (version 5) with the schemas of the npm packages, takes every configuration, and
makes each resource as it is configured. What the provider derives from a resource's arguments, such as a service
account's e-mail address, is derived here too; other things that only the cloud could say are `<type.name.attribute>`.
Terraform finds it by the variable TF_REATTACH_PROVIDERS, which HashiCorp made for debugging providers, and then
installs none.

    with serving(folder) as (environment, knowing):
        subprocess.run(["terraform", "plan"], env=os.environ | environment, cwd=folder)

In a plan with the variable `knowing` instead, all that is known already.
"""

import contextlib
import functools
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from pathlib import Path

import grpc
import msgpack
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.conftest import ROOT
from tests.terraform.terraform_files import read, types
from tests.terraform.terraform_schema import PACKAGES, Place, Schema, fetch, provider_of

# The messages of tfplugin5.proto that are used here: name → fields as name:type:number; * is a list, % a map.
MESSAGES = {
    "DynamicValue": "msgpack:bytes:1 json:bytes:2",
    "Attribute": "name:string:1 type:bytes:2 required:bool:4 optional:bool:5 computed:bool:6",
    "NestedBlock": "type_name:string:1 block:Block:2 nesting:int32:3 min_items:int64:4 max_items:int64:5",
    "Block": "version:int64:1 attributes:*Attribute:2 block_types:*NestedBlock:3",
    "Schema": "version:int64:1 block:Block:2",
    "Schemas": "provider:Schema:1 resource_schemas:%Schema:2 data_source_schemas:%Schema:3",
    "Diagnostic": "severity:int32:1 summary:string:2",
    "Validated": "diagnostics:*Diagnostic:1",
    "Configured": "config:DynamicValue:2",
    "Planned": "planned_state:DynamicValue:1 legacy_type_system:bool:5",
    "Change": "type_name:string:1 wanted:DynamicValue:3",  # of PlanResourceChange and ApplyResourceChange
    "Question": "type_name:string:1 value:DynamicValue:2",  # of ReadResource, ReadDataSource and the validations
    "Stored": "type_name:string:1 raw_state:DynamicValue:3",  # of UpgradeResourceState: JSON
    "Answer": "value:DynamicValue:1",
}
SCALARS = {"bytes": 12, "string": 9, "bool": 8, "int32": 5, "int64": 3}
MESSAGE, ONE, MANY = 11, 1, 3
IN_A_LIST, IN_A_SET, ALONE = 2, 3, 1  # how a nested block is kept
# Terraform's types of plain values.
TYPES = {
    "string": "string", "number": "number", "bool": "bool", "boolean": "bool", "list": ["list", "string"],
    "set": ["set", "string"], "map": ["map", "string"], "numbers": ["list", "number"],
}  # fmt: skip
UNKNOWN = msgpack.ExtType(0, b"\0")
ERROR = 1
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
# The arguments that tell resources of one type apart, most telling first.
NAMES = ("account_id", "role_id", "repository_id", "name", "output_path", "display_name")


def message_classes() -> dict[str, type]:
    """Name → the class of that message."""
    file = descriptor_pb2.FileDescriptorProto(name="tfplugin5.proto", package="tfplugin5", syntax="proto3")
    for message, fields in MESSAGES.items():
        made = file.message_type.add(name=message)
        for name, kind, number in (field.split(":") for field in fields.split()):
            field = made.field.add(name=name, number=int(number), label=MANY if kind[0] in "*%" else ONE)
            inner = kind.lstrip("*%")
            if kind[0] == "%":
                entry = made.nested_type.add(name=f"{name.title().replace('_', '')}Entry")
                entry.options.map_entry = True
                entry.field.add(name="key", number=1, label=ONE, type=SCALARS["string"])
                entry.field.add(name="value", number=2, label=ONE, type=MESSAGE, type_name=f".tfplugin5.{inner}")
                inner = f"{message}.{entry.name}"
            if inner in SCALARS:
                field.type = SCALARS[inner]
            else:
                field.type, field.type_name = MESSAGE, f".tfplugin5.{inner}"
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tfplugin5.{name}")) for name in MESSAGES}


OF = message_classes()


def block_of(place: Place) -> object:
    """The schema of a resource or a block in it, in Terraform's words."""
    block = OF["Block"]()
    for name, (required, _) in place.arguments.items():
        block.attributes.add(name=name, type=type_of(place, name), required=required, optional=not required)
        block.attributes[-1].computed = name in ("id", "project") and not required
    for name in sorted(computed(place)):
        block.attributes.add(name=name, type=type_of(place, name), computed=True)
    for name, (required, repeatable, _) in place.blocks.items():
        inner = inside(place, name)
        nesting = ALONE if name == "timeouts" else IN_A_SET if inner.is_set else IN_A_LIST
        bounds = {} if name == "timeouts" else {"min_items": int(required), "max_items": 0 if repeatable else 1}
        block.block_types.add(type_name=name, block=block_of(inner), nesting=nesting, **bounds)
    return block


def inside(place: Place, name: str) -> Place:
    """What may stand and what can be read in a block."""
    taken, given = place.blocks[name][2], place.gives.get(name)
    if not isinstance(given, Place):  # of a provider, which gives nothing
        return taken
    return Place(taken.arguments, taken.blocks, given.gives, taken.choices, given.is_set)


def computed(place: Place) -> set[str]:
    """What can only be read."""
    return place.gives.keys() - place.arguments.keys() - place.blocks.keys()


def type_of(place: Place, name: str) -> bytes:
    given = place.gives.get(name)
    if given is None:  # of a provider, which gives nothing
        kind = place.arguments[name][1].split(" |")[0]
        given = "map" if kind.startswith("{") else {"string[]": "list"}.get(kind, kind)
    return json.dumps(type_given(given)).encode()


def type_given(given: Place | str) -> object:
    """Terraform's type of what can be read."""
    if isinstance(given, str):
        return TYPES[given]
    return ["list", ["object", {name: type_given(inner) for name, inner in given.gives.items()}]]


def completed(place: Place, value: dict | None, missing: Callable[[str, Place | str], object]) -> dict | None:
    """The value with `missing(name, type)` for what is not configured or not known yet, and can be read."""
    if value is None:
        return None
    found = dict(value)
    for name in computed(place) | ({"id", "project"} & place.arguments.keys()):
        if found.get(name) in (None, UNKNOWN):
            found[name] = missing(name, place.gives.get(name, "string"))
    for name in place.blocks:
        if isinstance(found.get(name), list):
            found[name] = [completed(inside(place, name), member, missing) for member in found[name]]
    return found


def refused(place: Place, value: dict) -> Iterator[str]:
    """What the provider says of a configuration that Terraform itself takes: a value that is none of those in its
    argument's description, or one for what can only be read."""
    for name in computed(place):
        if value.get(name) is not None:
            yield f"{name}: can only be read"
    for name, possible in place.choices.items():
        if isinstance(value.get(name), str) and value[name] not in possible:
            yield f"{name}: expected one of {', '.join(possible)}; found {value[name]}"
    for name in place.blocks:
        for member in value[name] if isinstance(value[name], list) else ():
            yield from refused(inside(place, name), member)


class Provider(grpc.GenericRpcHandler):
    """One provider: what Terraform asks while it validates and plans. knowing: whether nothing is unknown in a plan."""

    def __init__(self, schema: Schema, wanted: list[tuple[str, str]], knowing: bool):
        self.schema, self.wanted, self.knowing, self.project = schema, wanted, knowing, ""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = getattr(self, details.method.removeprefix("/tfplugin5.Provider/"), None)
        return grpc.unary_unary_rpc_method_handler(answer) if answer else None

    def place(self, kind: str, name: str) -> Place:
        return self.schema.place(self.schema.folder(kind, name))

    def GetSchema(self, request: bytes, context: object) -> bytes:
        return self.schemas  # Terraform asks for them several times in each of its runs

    @functools.cached_property
    def schemas(self) -> bytes:
        answer = OF["Schemas"]()
        answer.provider.block.CopyFrom(block_of(self.schema.place("provider")))
        for kind, name in self.wanted:
            schemas = answer.resource_schemas if kind == "resource" else answer.data_source_schemas
            schemas[name].block.CopyFrom(block_of(self.place(kind, name)))
        return answer.SerializeToString()

    def PrepareProviderConfig(self, request: bytes, context: object) -> bytes:
        return request  # the prepared configuration is field 1 of the answer, as the configuration is of the request

    def Configure(self, request: bytes, context: object) -> bytes:
        self.project = unpacked(OF["Configured"].FromString(request).config).get("project")
        return b""

    def Stop(self, request: bytes, context: object) -> bytes:
        return b""

    def ValidateResourceTypeConfig(self, request: bytes, context: object, kind: str = "resource") -> bytes:
        question, answer = OF["Question"].FromString(request), OF["Validated"]()
        for found in refused(self.place(kind, question.type_name), unpacked(question.value)):
            answer.diagnostics.add(severity=ERROR, summary=found)
        return answer.SerializeToString()

    def ValidateDataSourceConfig(self, request: bytes, context: object) -> bytes:
        return self.ValidateResourceTypeConfig(request, context, "data")

    def PlanResourceChange(self, request: bytes, context: object) -> bytes:
        change = OF["Change"].FromString(request)
        value = unpacked(change.wanted)
        missing = self.made(change.type_name, value, {}) if self.knowing else lambda name, kind: UNKNOWN
        planned = completed(self.place("resource", change.type_name), value, missing)
        return OF["Planned"](planned_state=packed(planned), legacy_type_system=True).SerializeToString()

    def ApplyResourceChange(self, request: bytes, context: object) -> bytes:
        change = OF["Change"].FromString(request)
        return self.answer("resource", change.type_name, unpacked(change.wanted))

    def ReadDataSource(self, request: bytes, context: object) -> bytes:
        question = OF["Question"].FromString(request)
        return self.answer("data", question.type_name, unpacked(question.value))

    def ReadResource(self, request: bytes, context: object) -> bytes:
        return OF["Answer"](value=OF["Question"].FromString(request).value).SerializeToString()

    def UpgradeResourceState(self, request: bytes, context: object) -> bytes:
        # What is stored is JSON in field 1 of its message; in an answer, JSON is field 2.
        stored = OF["Stored"].FromString(request).raw_state.msgpack
        return OF["Answer"](value={"json": stored}).SerializeToString()

    def answer(self, kind: str, name: str, value: dict | None) -> bytes:
        """The value as it is once it was made."""
        known = completed(
            self.place(kind, name), value, self.made(name, value, {"number": 0, "bool": False, "map": {}})
        )
        return OF["Answer"](value=packed(known)).SerializeToString()

    def made(self, resource: str, value: dict | None, empty: dict[str, object]) -> Callable[[str, Place | str], object]:
        """What the cloud would have said of a resource: texts, lists, and what is in `empty`, type → value."""
        about = {"project": self.project} | {name: text for name, text in (value or {}).items() if text}
        own = next((about[name] for name in NAMES if name in about), "")

        def missing(name: str, kind: Place | str) -> object:
            if kind == "string":
                rule = DERIVED.get(resource, {}).get(name)
                return rule.format_map(about) if rule else f"<{resource}.{own}.{name}>"
            return empty.get(kind) if kind in ("number", "bool", "map") else []

        return missing


def unpacked(value: object) -> dict | None:
    return msgpack.unpackb(value.msgpack, strict_map_key=False, ext_hook=lambda code, data: UNKNOWN)


def packed(value: dict | None) -> object:
    return OF["DynamicValue"](msgpack=msgpack.packb(value))


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[list[dict[str, str]]]:
    """The variable with which Terraform finds the stand-in for all providers of that folder's files, and the same for
    one that knows everything while it plans."""
    command = [sys.executable, "-m", "tests.terraform.terraform_provider", str(folder)]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield [{"TF_REATTACH_PROVIDERS": process.stdout.readline()} for _ in range(2)]
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def main(argv: list[str]) -> int:
    """Answers for all providers of the folder's files until standard input ends."""
    wanted, servers = {(kind, name) for _, kind, name in types(read(Path(argv[0])))}, []
    schemas = {name: Schema(name, fetch(name), wanted) for name in PACKAGES}
    for knowing in (False, True):
        found = {}
        for name, schema in schemas.items():
            server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
            own = [one for one in wanted if provider_of(one[1]) == name]
            server.add_generic_rpc_handlers([Provider(schema, own, knowing)])
            address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
            server.start()
            servers.append(server)
            found[f"registry.terraform.io/hashicorp/{name}"] = {
                "Protocol": "grpc", "ProtocolVersion": 5, "Pid": os.getpid(), "Test": True,
                "Addr": {"Network": "tcp", "String": address},
            }  # fmt: skip
        print(json.dumps(found), flush=True)
    sys.stdin.read()
    for server in servers:
        server.stop(None)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
