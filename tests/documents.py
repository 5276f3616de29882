"""Random GraphQL documents over the schema.

Aliases, fragments, merged fields, directives, variables, and arguments that are now and then wrong.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from graphql import (
    GraphQLField,
    GraphQLInputObjectType,
    GraphQLObjectType,
    GraphQLSchema,
    get_named_type,
    get_nullable_type,
    is_enum_type,
    is_input_object_type,
    is_list_type,
    is_object_type,
)

# Values by argument, or by "Type.field.argument" where that is meant.
Pools = Mapping[str, Sequence[Any]]
DEPTH = 5


@dataclass
class Documents:
    """Writes one document after another."""

    schema: GraphQLSchema
    random: Random
    pools: Pools
    # Fields that are not asked for, by "Type.field".
    without: frozenset[str] = frozenset()
    variables: dict[str, Any] = field(default_factory=dict)
    definitions: list[str] = field(default_factory=list)
    fragments: list[str] = field(default_factory=list)
    number: int = 0

    def one(self) -> tuple[str, dict[str, Any]]:
        """Returns a query and its variables."""
        self.variables, self.definitions, self.fragments, self.number = {}, [], [], 0
        query = self.schema.query_type
        assert query is not None
        names = self._some(query, self.random.choice([1, 1, 2, 3]))
        roots = [self._field(query, name, 0) for name in names]
        if self.random.random() < 0.1:
            roots.append(self._alias() + ": __typename")
        if self.random.random() < 0.1:
            roots = [f"... on Query {{ {' '.join(roots)} }}"]
        head = f"({' '.join(self.definitions)})" if self.definitions else ""
        return " ".join([f"query Q{head} {{ {' '.join(roots)} }}", *self.fragments]), self.variables

    def _some(self, type_: GraphQLObjectType, count: int) -> list[str]:
        names = [n for n in type_.fields if f"{type_.name}.{n}" not in self.without]
        return [self.random.choice(names) for _ in range(count)]

    def _alias(self) -> str:
        self.number += 1
        return f"a{self.number}"

    def _selection(self, type_: GraphQLObjectType, depth: int) -> str:
        """Returns a selection set; what stands in it unaliased has no arguments, and may merge."""
        parts = [self._field(type_, n, depth) for n in self._some(type_, self.random.randint(1, 5))]
        parts = [part for part in parts if part] or ["__typename"]
        if self.random.random() < 0.15:
            parts.append("__typename")
        if self.random.random() < 0.2:
            cut = self.random.randint(0, len(parts))
            inside = " ".join(parts[cut:] or ["__typename"])
            condition = f"... on {type_.name}{self._directive()}"
            parts = [*parts[:cut], f"{condition} {{ {inside} }}"]
        if self.random.random() < 0.15:
            self.number += 1
            name = f"F{self.number}"
            self.fragments.append(f"fragment {name} on {type_.name} {{ {' '.join(parts)} }}")
            parts = [f"...{name}", self.random.choice(parts)]
        return f"{{ {' '.join(parts)} }}"

    def _field(self, type_: GraphQLObjectType, name: str, depth: int) -> str:
        definition = type_.fields[name]
        of = get_named_type(definition.type)
        below = ""
        if is_object_type(of):
            if depth >= DEPTH:
                return ""
            below = self._selection(of, depth + 1)
        required = any(str(a.type).endswith("!") for a in definition.args.values())
        # Two arguments under one name would not merge, so that needs a name of its own.
        aliased = required or self.random.random() < 0.3 or type_ is self.schema.query_type
        given = self._arguments(type_, name, definition) if aliased else ""
        alias = f"{self._alias()}: " if aliased else ""
        return f"{alias}{name}{given}{self._directive()} {below}"

    def _directive(self) -> str:
        if self.random.random() > 0.08:
            return ""
        name, keep = self.random.choice([("include", True), ("skip", False), ("include", False)])
        if self.random.random() < 0.5:
            return f" @{name}(if: {json.dumps(keep)})"
        return f" @{name}(if: {self._variable('Boolean!', keep)})"

    def _arguments(self, type_: GraphQLObjectType, name: str, definition: GraphQLField) -> str:
        given = []
        for argument, declared in definition.args.items():
            is_required = str(declared.type).endswith("!")
            if not is_required and self.random.random() < 0.5:
                continue
            place = f"{type_.name}.{name}.{argument}"
            value = self.random.choice(self.pools.get(place) or self.pools[argument])
            if value is None and is_required:
                continue
            if self.random.random() < 0.5:
                text = self._variable(str(declared.type), value)
            else:
                text = self._literal(declared.type, value)
            given.append(f"{argument}: {text}")
        return f"({', '.join(given)})" if given else ""

    def _variable(self, type_: str, value: Any) -> str:
        self.number += 1
        name = f"v{self.number}"
        self.definitions.append(f"${name}: {type_}")
        if value is not None or self.random.random() < 0.5:
            self.variables[name] = value
        return f"${name}"

    def _literal(self, type_: Any, value: Any) -> str:
        plain = get_nullable_type(type_)
        if value is None:
            return "null"
        if is_list_type(plain):
            return f"[{', '.join(self._literal(plain.of_type, item) for item in value)}]"
        if is_input_object_type(plain):
            return self._object(plain, value)
        return str(value) if is_enum_type(plain) else json.dumps(value)

    def _object(self, type_: GraphQLInputObjectType, value: Mapping[str, Any]) -> str:
        parts = []
        for name, item in value.items():
            declared = type_.fields[name].type
            # A variable in the middle of a literal.
            if self.random.random() < 0.1:
                parts.append(f"{name}: {self._variable(str(declared), item)}")
            else:
                parts.append(f"{name}: {self._literal(declared, item)}")
        return f"{{{', '.join(parts)}}}"
