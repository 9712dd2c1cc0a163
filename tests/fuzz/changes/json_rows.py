"""Changes of JSON: keys, rows and the way that rows are strung together."""

from __future__ import annotations

import json
from random import Random
from typing import Any

from tests.fuzz.changes.case import Case, Meaning, Rows, case_of, case_of_text
from tests.fuzz.traces import (
    Form,
    content_of,
)


def _as_texts(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Write lengths in JSON as "374"."""
    if form.kind not in ("lines", "json") or not form.prompt:
        return None
    texts = [row._replace(prompt=str(row.prompt), output=str(row.output)) for row in rows]
    return case_of(form, _with_blocks(form, rows, texts), rows)


def _with_blocks(form: Form, rows: Rows, changed: Rows) -> Any:
    """Write the changed rows with the blocks of the old ones."""
    data = form.write(changed)
    for old, new in zip(form.write(rows), data, strict=True):
        if "hash_ids" in old:
            new["hash_ids"] = old["hash_ids"]
    return data


def _missing_key(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or not form.prompt or not rows:
        return None
    n, data = rng.randrange(len(rows)), form.write(rows)
    del data[n][rng.choice((form.prompt, form.output))]
    return case_of(form, data, rows, refused_at=form.first_line + n if form.first_line else 0)


def _no_row(rng: Random, form: Form, rows: Rows) -> Case | None:
    """Put a line of JSON that is no row, or no JSON, between the rows."""
    if form.kind != "lines" or not rows:
        return None
    lines = content_of(form, form.write(rows)).decode().splitlines(keepends=True)
    n = rng.randrange(1, len(lines) + 1)
    lines.insert(n, rng.choice(("[1, 2, 3]\n", "{\n", "7\n", "null\n", '"x"\n', "{}\n", "}\n")))
    return case_of_text(form, "".join(lines), rows, refused_at=n + 1)


def _keys_permuted(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or form.name in ("vllm.json", "guidellm.json"):
        return None
    data = [dict(rng.sample(sorted(row.items()), len(row))) for row in form.write(rows)]
    return case_of(form, data, rows, must_be_read=True)


def _keys_more(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind not in ("lines", "json") or form.name in ("vllm.json", "guidellm.json"):
        return None
    extra = rng.choice(({"model": "x"}, {"x": None}, {"note": {"deep": [1]}}, {"é": 1.5}))
    return case_of(form, [row | extra for row in form.write(rows)], rows, must_be_read=True)


def _keys_in_capitals(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines" or not form.prompt:
        return None
    data = [{key.upper(): value for key, value in row.items()} for row in form.write(rows)]
    return case_of(form, data, rows)


def _as_array(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines":
        return None
    return case_of_text(form, json.dumps(form.write(rows), indent=rng.choice((None, 1))), rows)


def _commas_behind(rng: Random, form: Form, rows: Rows) -> Case | None:
    if form.kind != "lines":
        return None
    return case_of_text(form, "".join(json.dumps(row) + ",\n" for row in form.write(rows)), rows)


CHANGES: dict[str, Meaning] = {
    "texts": _as_texts,
    "a missing key": _missing_key,
    "a line that is no row": _no_row,
    "keys permuted": _keys_permuted,
    "keys more": _keys_more,
    "keys in capitals": _keys_in_capitals,
    "an array": _as_array,
    "commas behind": _commas_behind,
}
"""Changes by name."""
