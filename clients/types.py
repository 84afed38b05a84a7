"""Writes the types of both clients from the OpenAPI document of `usage-ledger serve`.

    python3 clients/types.py openapi.json           writes the files
    python3 clients/types.py openapi.json --check   exits 1 if a file differs

The answers of `rpc` and of the HTTP API have the same shapes, so the document describes both.
"""

import json
import keyword
import sys
from pathlib import Path

here = Path(__file__).parent
PYTHON = here / "python/src/usage_ledger/_types.py"
TYPESCRIPT = here / "typescript/src/types.ts"

# Inputs and answers of the operations that the clients offer, under their names in the clients.
ROOTS = {
    "RecordInput": "RecordInput",
    "ScanInput": "ScanInput",
    "ReceiptAnswer": "Receipt",
    "TallyAnswer": "Tally",
    "ReservationAnswer": "Reservation",
    "GateAnswer": "Verdict",
    "ReportAnswer": "Report",
    "StatusAnswer": "Status",
    "ScanOutputAnswer": "Scan",
    "ProblemAnswer": "Problem",
    "FormatName": "FormatName",
    "TierName": "TierName",
    "NeedName": "NeedName",
}
# Parameters of queries are not among the document's schemas.
QUERIES = {"gate": "GateInput", "report": "ReportInput", "status": "StatusInput"}


def queries(document):
    for operation, name in QUERIES.items():
        query = document["paths"][f"/api/v1/{operation}"]["get"]
        parameters = [one for one in query["parameters"] if one["in"] == "query"]
        yield name, {
            "type": "object",
            "description": query["summary"],
            "properties": {one["name"]: one["schema"] | {"description": one["description"]} for one in parameters},
        }


def references(schema):
    if isinstance(schema, dict):
        if "$ref" in schema:
            yield schema["$ref"].rsplit("/", 1)[1]
        schema = schema.values()
    if not isinstance(schema, str) and hasattr(schema, "__iter__"):
        for part in schema:
            yield from references(part)


def reachable(schemas, names):
    found, waiting = set(), list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(references(schemas[name]))
    return sorted(found)


class Language:
    def type_of(self, schema):
        if "$ref" in schema:
            return self.name(schema["$ref"].rsplit("/", 1)[1])
        if "enum" in schema:
            return self.literals(schema["enum"])
        if "oneOf" in schema:
            return self.union([self.type_of(part) for part in schema["oneOf"]])
        # A schema without a type and with annotations alone admits any value.
        if "type" not in schema and schema.keys() - {"default", "description", "example"}:
            sys.exit(f"a schema of a form that is not supported: {schema}")
        kinds = schema.get("type", [])
        return self.union([self.of(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])

    @staticmethod
    def name(name):
        return ROOTS.get(name, name)

    def of(self, kind, schema):
        match kind:
            case "array":
                return self.list_of(self.type_of(schema["items"]))
            case "object":
                return self.map_of(self.type_of(schema.get("additionalProperties") or {}))
            case _:
                return self.plain[kind]


class Python(Language):
    plain = {"string": "str", "integer": "int", "number": "float", "boolean": "bool", "null": "None"}

    def union(self, parts):
        return " | ".join(dict.fromkeys(parts)) or "Any"

    def literals(self, values):
        return f"Literal[{', '.join(json.dumps(value) for value in values)}]"

    def list_of(self, item):
        return f"list[{item}]"

    def map_of(self, value):
        return f"dict[str, {value}]"

    def define(self, name, schema):
        if name == "RowAnswer":
            # A row has a field for each key of the report, which a `TypedDict` cannot state.
            return f"{name} = dict[str, Any]\n{comment(schema, '')}"
        if schema.get("type") != "object":
            return f"{name} = {self.type_of(schema)}\n"
        fields = {}
        for field, of in schema["properties"].items():
            kind = self.type_of(of)
            fields[field] = kind if field in schema.get("required", []) else f"NotRequired[{kind}]"
        if any(keyword.iskeyword(field) for field in fields):
            lines = "".join(f'        "{field}": {kind},\n' for field, kind in fields.items())
            return f'{name} = TypedDict(\n    "{name}",\n    {{\n{lines}    }},\n)\n{comment(schema, "")}'
        lines = "".join(f"    {field}: {kind}\n" for field, kind in fields.items())
        return f"class {name}(TypedDict):\n{comment(schema, '    ')}\n{lines}"

    def file(self, schemas):
        order = []

        def add(name):
            # A type follows those that it refers to.
            for needed in references(schemas[name]):
                add(needed)
            if name not in order:
                order.append(name)

        for name in schemas:
            add(name)
        types = "\n\n".join(self.define(self.name(name), schemas[name]) for name in order)
        head = '"""Inputs and answers. Generated by clients/types.py from the OpenAPI document."""\n\n'
        return f"{head}from typing import Any, Literal, NotRequired, TypedDict\n\n{types}"


def comment(schema, indent):
    return f'{indent}"""{schema["description"].splitlines()[0]}"""\n' if schema.get("description") else ""


class TypeScript(Language):
    plain = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "null": "null"}

    def union(self, parts):
        return " | ".join(dict.fromkeys(parts)) or "unknown"

    def literals(self, values):
        return " | ".join(json.dumps(value) for value in values)

    def list_of(self, item):
        return f"({item})[]" if " " in item else f"{item}[]"

    def map_of(self, value):
        return f"Record<string, {value}>"

    def define(self, name, schema):
        about = f"/** {schema['description'].splitlines()[0]} */\n" if schema.get("description") else ""
        if schema.get("type") != "object":
            return f"{about}export type {name} = {self.type_of(schema)};\n"
        lines = []
        for field, of in schema["properties"].items():
            text = of.get("description") or next((one["description"] for one in of.get("oneOf", []) if "description" in one), "")
            lines += [f"  /** {' '.join(text.split())} */\n"] if text else []
            mark = "" if field in schema.get("required", []) else "?"
            optional = " | undefined" if "Input" in name and mark else ""
            lines.append(f"  {field}{mark}: {self.type_of(of)}{optional};\n")
        if name == "RowAnswer":
            lines.append("  /** The value of each key of the report */\n  [key: string]: unknown;\n")
        return f"{about}export interface {name} {{\n{''.join(lines)}}}\n"

    def file(self, schemas):
        types = "\n".join(self.define(self.name(name), schemas[name]) for name in schemas)
        return f"// Inputs and answers. Generated by clients/types.py from the OpenAPI document.\n\n{types}"


def main():
    document = json.loads(Path(sys.argv[1]).read_text())
    schemas = document["components"]["schemas"] | dict(queries(document))
    names = reachable(schemas, [*ROOTS, *QUERIES.values()])
    chosen = {name: schemas[name] for name in names}
    differing = []
    for path, language in ((PYTHON, Python()), (TYPESCRIPT, TypeScript())):
        text = language.file(chosen)
        if "--check" not in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            differing.append(str(path))
    if differing:
        sys.exit(f"{', '.join(differing)}: not the types of this build; run clients/types.py without --check")


main()
