"""The values in JSON texts by the keys that lead to them, each text parsed once."""

import json
from collections.abc import Iterable
from typing import cast

import polars as pl

from bouncekit.batches import by_batch, where

Keys = tuple[str, ...]
Tree = dict[str, "Tree | None"]  # key -> what is below it; None: a value

# Polars writes objects and arrays it was to read as text without escaping what is in their strings
# again: quotes in a reply would break them. Where there are any, other means are used.
ESCAPE = "\\"
STRING = pl.String()


def inner(column: pl.Expr, keys: Keys) -> pl.Expr:
    """The value in a column of JSON text under `keys`, as text: one parsing for each value."""
    path = "$" + "".join(f"[{json.dumps(key, ensure_ascii=False)}]" for key in keys)
    return column.str.json_path_match(path)


def tree_of(paths: Iterable[Keys]) -> Tree:
    """The keys that paths lead along; what is a value in some texts is one in all.

    >>> tree_of([("mail", "id"), ("mail", "from"), ("time",)])
    {'time': None, 'mail': {'id': None, 'from': None}}
    """
    tree: Tree = {}
    for keys in sorted(paths, key=len):
        below: Tree | None = tree
        for key in keys[:-1]:
            below = below.setdefault(key, {}) if below is not None else None
        if below is not None:
            below.setdefault(keys[-1], None)
    return tree


def parsed(text: pl.Expr, tree: Tree, *, strict: bool = False) -> pl.Expr:
    """The values of a tree in JSON objects, as structs of text; all null where the text is.

    So they are where a text is no JSON, but with `strict` Polars' ComputeError is raised.
    """
    shape = _shape(tree)

    def read(texts: pl.Series) -> pl.Series:
        try:
            return _read(texts, shape)
        except pl.exceptions.ComputeError:
            pass  # a text, say, where others have an object
        objects = pl.when(inner(pl.col("text"), ()).is_not_null()).then("text")
        known = texts if strict else texts.to_frame("text").select(objects).to_series()
        flat = _read(known, pl.Schema(dict.fromkeys(shape, STRING))).struct.unnest()
        picked = (_picked(pl.col(key), (), below).alias(key) for key, below in tree.items())
        return flat.select(picked).to_struct(texts.name)

    return by_batch(text, read, pl.Struct(shape))


def _read(texts: pl.Series, shape: pl.Schema) -> pl.Series:
    lines = texts.fill_null("{}").str.replace_all("\n", " ", literal=True).str.join("\n")
    data = lines.item().encode() if len(texts) else b""
    return pl.read_ndjson(data, schema=shape).to_struct(texts.name)


def has_escapes(text: pl.Expr) -> pl.Expr:
    """True where what `parsed` gives for an object or array in a text may be broken."""
    return text.str.contains(ESCAPE, literal=True).fill_null(False)


def value(root: pl.Expr, text: pl.Expr, escaped: pl.Expr, keys: Keys, tree: Tree) -> pl.Expr:
    """The value under `keys` as text.

    `root` holds what `parsed` made of `text` by the tree, and `escaped` whether it `has_escapes`.
    """
    cell, left = _field(root, keys, tree)

    def is_broken(cell: pl.Expr, _: pl.Expr, escaped: pl.Expr) -> pl.Expr:
        is_within = cell.str.starts_with("[") | cell.str.starts_with("{")
        return escaped if left else escaped & is_within

    return where(
        [inner(cell, left) if left else cell, text, escaped],
        is_broken,
        lambda _, text, escaped: inner(text, keys),
        STRING,
    )


def _shape(tree: Tree) -> pl.Schema:
    return pl.Schema(
        {key: STRING if below is None else pl.Struct(_shape(below)) for key, below in tree.items()}
    )


def _picked(value: pl.Expr, keys: Keys, tree: Tree | None) -> pl.Expr:
    """The values of a tree out of the text of an object, shaped as the tree is."""
    if tree is None:
        return inner(value, keys) if keys else value
    return pl.struct(_picked(value, (*keys, key), below).alias(key) for key, below in tree.items())


def _field(root: pl.Expr, keys: Keys, tree: Tree) -> tuple[pl.Expr, Keys]:
    """The value at as many keys as lead through structs, and the keys that are left."""
    cell, below = root, cast("Tree | None", tree)
    for number, key in enumerate(keys):
        if below is None:
            return cell, keys[number:]
        cell, below = cell.struct.field(key), below[key]
    return cell, ()
