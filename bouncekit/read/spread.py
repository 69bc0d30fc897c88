"""Make a row for each recipient of a record, and the headings that only a layout knows."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

import polars as pl

from bouncekit.batches import only
from bouncekit.read.containers import RAW, Table
from bouncekit.read.envelopes import items
from bouncekit.read.layouts import BY_PLACE, Layout, fold
from bouncekit.read.values import Tree, has_escapes, parsed, tree_of, value

ITEM = pl.col("__item")
AT = pl.col("__at")  # place of the item in its list
LIST = "__list"
VALUES, ESCAPED = "__of_item", "__item_escaped"  # what is in an object, whether it has escapes
REPLY = r"\s*(?:\[\{[A-Z]+=|['\"]?[245][0-9][0-9][ -])"  # how one begins in Exchange's logs


def spread(table: Table, layout: Layout) -> tuple[Table, dict[str, pl.Expr]]:
    """The records of a table, one for each item of the layout's list, and cells by heading.

    What is no record is left out: an empty line of a CSV, and a header that is repeated.
    """
    frame = _filled(table, layout)
    cells = {**table.later, **table.cells}
    by_fold = {fold(heading): cell for heading, cell in cells.items()}

    def present(headings: Iterable[str]) -> list[pl.Expr]:
        return [by_fold[fold(heading)] for heading in headings if fold(heading) in by_fold]

    if lists := present(layout.each):
        beside = {f"__beside{n}": cell for n, cell in enumerate(present(layout.beside))}
        count = pl.col(LIST).list.len().fill_null(1).clip(1)
        split = [_split(c, layout.separator, count).alias(name) for name, c in beside.items()]
        frame = frame.with_columns(_items(lists, layout.separator).alias(LIST))
        frame = frame.with_columns(*split, __at=pl.int_ranges(count)).explode("__at")
        item = [pl.col(LIST).list.get(AT, null_on_oob=True), *map(_at, beside)]
        frame = frame.with_columns(item).rename({LIST: "__item"}).drop("__at")
        for heading, name in zip(layout.beside, beside, strict=False):
            cells[f"beside.{heading}"] = pl.col(name)
        tree = {} if layout.cut else tree_of(filter(None, _in_items(layout).values()))
        if tree:
            objects = pl.when(ITEM.str.starts_with("{")).then(ITEM)
            escaped = has_escapes(ITEM).alias(ESCAPED)
            frame = frame.with_columns(parsed(objects, tree).alias(VALUES), escaped)
        cells |= dict(_parts(layout, tree))
    for name, headings in layout.join.items():
        parts = [by_fold.get(fold(h), pl.lit(None, pl.String())) for h in headings]
        cells[name] = pl.concat_str(parts, separator="." if name == "code" else "/")
    for heading in layout.virtual:
        cells.setdefault(heading, pl.lit(None, pl.String()))
    for heading, cell in cells.items():
        if pattern := layout.within.get(fold(heading)):
            cells[heading] = cell.str.extract(pattern)
        if fold(heading) in layout.single:
            second = pl.when(cell.str.starts_with("[")).then(cell).str.json_path_match("$[1]")
            cells[heading] = pl.when(second.is_null()).then(cell)
    if layout.blank:
        cells = {h: pl.when(~cell.is_in(layout.blank)).then(cell) for h, cell in cells.items()}
    return replace(table, frame=frame), cells


def _split(cell: pl.Expr, separator: str, count: pl.Expr) -> pl.Expr:
    """The pieces of a cell, if there are several items to have them.

    Replies hold separators themselves (`550 5.1.1 RESOLVER; not found`): one begins where a reply
    code stands behind.
    """
    replies = cell.str.replace_all(f"{separator}({REPLY})", "\x1f$1").str.split("\x1f")
    has_replies = cell.str.contains(f"^{REPLY}")
    several = pl.when(has_replies).then(replies).otherwise(cell.str.split(separator))
    return pl.when(count == 1).then(pl.concat_list(cell)).otherwise(several)


def _at(beside: str) -> pl.Expr:
    """The piece at the item's place; one piece alone is of all items."""
    pieces = pl.col(beside)
    place = pl.when(pieces.list.len() > 1).then(AT).otherwise(0)
    return pieces.list.get(place, null_on_oob=True)


def _items(lists: list[pl.Expr], separator: str) -> pl.Expr:
    """The first of several lists that is there, as a list of text."""
    filled = [pl.when(~cell.str.strip_chars().is_in(["", "[]"])).then(cell) for cell in lists]
    listed = pl.coalesce(filled)
    return listed.str.split(separator) if separator else items(listed)


def _parts(layout: Layout, tree: Tree) -> Iterator[tuple[str, pl.Expr]]:
    """The headings of a list's items: the item, a value in it, or what stands around a mark."""
    is_object = ITEM.str.starts_with("{")
    for heading, keys in _in_items(layout).items():
        if not keys:
            yield heading, pl.when(~is_object).then(ITEM)
        elif layout.cut:
            place = 0 if keys == ("before",) else 1
            yield heading, ITEM.str.split(layout.cut).list.get(place, null_on_oob=True)
        else:
            yield heading, value(pl.col(VALUES), ITEM, pl.col(ESCAPED), keys, tree)


def _in_items(layout: Layout) -> dict[str, tuple[str, ...]]:
    """The keys that lead from an item to what each of the layout's headings for it is about."""
    split = {heading: tuple(heading.split(".")) for heading in layout.virtual}
    return {heading: keys[1:] for heading, keys in split.items() if keys[0] == "each"}


def _filled(table: Table, layout: Layout) -> pl.LazyFrame:
    """The records of a table: an empty line of a CSV is none, nor a header or comment midway."""
    if table.kind != "csv":
        return table.frame
    columns = (*table.columns, *[RAW] * table.has_raw)
    # One cell tells that all is well in nearly all records; in the others all are looked at.
    telling = next(h for h in (*layout.fields["recipient"], *columns) if h in columns)

    def may_be_none(cell: pl.Expr, *_: pl.Expr) -> pl.Expr:
        begins = cell.str.starts_with(layout.comment) if layout.comment else pl.lit(False)
        return _is_blank(cell) | (cell == BY_PLACE.sub("", telling)) | begins

    is_none = only(
        [pl.col(c) for c in (telling, *columns)],
        may_be_none,
        lambda _, *cells: _if_no_record(dict(zip(columns, cells, strict=True)), table, layout),
        pl.Boolean(),
    )
    # As a column, for Polars would do it for each of the small pieces it reads.
    return table.frame.with_columns(__is_none=is_none).filter(pl.col("__is_none").is_null())


def _if_no_record(cells: Mapping[str, pl.Expr], table: Table, layout: Layout) -> pl.Expr:
    """True for what is no record, else null."""
    is_none = pl.all_horizontal(map(_is_blank, cells.values()))
    written = {c: BY_PLACE.sub("", c) for c in table.columns}
    first = [cells[c] == heading for c, heading in written.items() if heading]
    if first:
        is_none |= pl.all_horizontal(first[:3])
    if layout.comment:
        is_none |= cells[table.columns[0]].str.starts_with(layout.comment)
    return pl.when(is_none).then(True)


def _is_blank(cell: pl.Expr) -> pl.Expr:
    return cell.fill_null("") == ""
