"""YAML files -> frozen descriptions, with every fault of a file in one message, each with its line.

Knows nothing of the domain: it reads files, merges mappings, keeps track of where each value was written, and turns what
pydantic finds into sentences.
"""

from __future__ import annotations

import re
import types
import typing
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, ValidationError, ValidatorFunctionWrapHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from cluster_sim.errors import Fault, ScenarioError, did_you_mean, shown
from cluster_sim.units import key_of

Trail = tuple[str | int, ...]  # the keys and indices that lead to a value
Made = TypeVar("Made", bound="Description")

CATALOG = Path(__file__).parent / "catalog"
_MOST_VALUES = 200_000  # of one file, aliases expanded: above it, anchors are being used as a bomb
_DOTTED = re.compile(r"[\w-]+(\[\d+\]|\.[\w-]+)*")  # cluster.pools[0].nodes
_TAGS = {"map", "seq", "str", "null", "bool", "int", "float", "timestamp", "merge", "value"}  # of YAML; a date is text here
_NOUNS = {"links": "network"}  # what the files of a folder are called, where it is not the folder's name
_FIGURE_KEYS = {"value", "source", "confidence", "note", "range"}

# Folders in which a path written in a file is looked for, beside the working directory.
_folder: ContextVar[Path | None] = ContextVar("folder", default=None)


def _without_truths(schema: Any) -> Any:
    """A core schema whose numbers refuse `true` and `false`, which pydantic takes for 1 and 0."""
    if isinstance(schema, list):
        return [_without_truths(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") in ("int", "float"):
        return core_schema.no_info_before_validator_function(_no_truth, typing.cast(CoreSchema, schema))
    if schema.get("type") == "function-before" and schema["function"]["function"] is _no_truth:
        return schema
    return {key: part if key in ("metadata", "config") else _without_truths(part) for key, part in schema.items()}


def _no_truth(came: Any) -> Any:
    if isinstance(came, bool):
        raise PydanticCustomError("truth", "a number")
    return came


class Description(BaseModel):
    """What a file says: frozen, its fields are the keys (less their unit), unknown keys are faults."""

    model_config = ConfigDict(frozen=True, extra="forbid", alias_generator=key_of, use_attribute_docstrings=True, allow_inf_nan=False)

    keys_beside: ClassVar[tuple[str, ...]] = ()
    """Keys of a file that are not the description's own, but are read before it: known, where one is misspelt."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        # around all of the description's own validators, as no model_validator is
        return core_schema.no_info_wrap_validator_function(cls._read_from_its_file, _without_truths(handler(source)))

    @classmethod
    def _read_from_its_file(cls, came: Any, handler: ValidatorFunctionWrapHandler) -> Any:
        """What a file of its own says is checked as such: its faults name it, and paths in it start from its folder."""
        if not isinstance(came, FromFile):
            return handler(came)
        with looking_in(Path(came.document.file).parent):
            try:
                return handler(dict(came))
            except ValidationError as invalid:
                raise ScenarioError(_told(cls, came.document, invalid)) from invalid


@dataclass
class Document:
    """The values of a file, and for each trail to one of them where it was written."""

    data: Any
    file: str
    places: dict[Trail, str] = field(default_factory=dict)

    def place(self, trail: Trail) -> str:
        """Where the value at `trail` was written; where it was not, its nearest parent."""
        for end in range(len(trail), -1, -1):
            if trail[:end] in self.places:
                return self.places[trail[:end]]
        return self.file

    def merged(self, over: Document) -> Document:
        """This document with `over` on top: mappings are merged, all else replaced whole, a null takes a key away."""
        places = dict(self.places)
        data = _merge(self.data, over.data, (), places, over.places)
        return Document(data, self.file, places)

    def at(self, key: str) -> Document:
        """The part under `key`, as a document of its own."""
        name = next(name for name in self.data if str(name) == key)
        places = {trail[1:]: where for trail, where in self.places.items() if trail[:1] == (name,)}
        return Document(self.data[name], self.file, places)

    def without(self, key: str) -> Document:
        """All but what is under `key`."""
        places = {trail: where for trail, where in self.places.items() if trail[:1] != (key,)}
        return Document({name: value for name, value in self.data.items() if name != key}, self.file, places)


class FromFile(dict[str, Any]):
    """The values of a file that another one names, to be checked under its own name."""

    def __init__(self, document: Document) -> None:
        super().__init__(document.data)
        self.document = document


def _merge(base: Any, over: Any, trail: Trail, places: dict[Trail, str], over_places: Mapping[Trail, str]) -> Any:
    if isinstance(base, dict) and isinstance(over, dict):
        merged = dict(base)
        if trail in over_places and trail:
            places[trail] = over_places[trail]
        for key, value in over.items():
            inner = (*trail, key)
            if value is None:
                merged.pop(key, None)
            else:
                merged[key] = _merge(merged.get(key), value, inner, places, over_places)
        return merged
    for known in [known for known in places if known[: len(trail)] == trail]:
        del places[known]
    places.update({known: where for known, where in over_places.items() if known[: len(trail)] == trail})
    return over


def read_yaml(path: Path) -> Document:
    """The mapping in the YAML 1.2 file at `path`. Raises ScenarioError for what is no readable mapping."""
    return parse_yaml(read_text(path), str(path))


def read_text(path: Path) -> str:
    """The text of a file a user named. Raises ScenarioError where it cannot be read as UTF-8."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as fault:
        raise ScenarioError.at(str(path), "no such file") from fault
    except UnicodeDecodeError as fault:
        raise ScenarioError.at(str(path), f"is not UTF-8 text (byte {fault.start})") from fault
    except OSError as fault:
        raise ScenarioError.at(str(path), f"cannot be read: {(fault.strerror or 'no reason given').lower()}") from fault
    except ValueError as fault:  # a NUL in the name
        raise ScenarioError.at(repr(str(path)), "no such file") from fault


def parse_yaml(text: str, file: str) -> Document:
    """As `read_yaml`, from text already at hand; `file` names it in messages."""
    document = Document(None, file)
    _Reader(document).read(text)
    if not isinstance(document.data, dict):
        raise ScenarioError.at(f"{file}:1", f"came {shown(document.data)}; wanted a mapping (`key: value` lines)")
    return document


class _Reader:
    """YAML text -> plain dicts, lists and scalars, the line of each noted in `document`.

    From the tree of nodes rather than through the library's own constructor: that one forgets the lines of merged keys,
    loses anchors that contain themselves, makes dates of names, and fails without a line on a number that is none.
    """

    def __init__(self, document: Document, *, where: str | None = None) -> None:
        self._document, self._where = document, where
        self._count = 0
        self._inside: set[int] = set()  # the mappings and lists being read, to notice those that contain themselves

    def read(self, text: str) -> None:
        """Fill in the document. Raises ScenarioError for text that is no YAML, and for anchors used as a bomb."""
        from ruamel.yaml import YAML
        from ruamel.yaml.error import MarkedYAMLError, YAMLError
        from ruamel.yaml.reader import ReaderError

        file = self._where or self._document.file
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of an anchor's name that is used again, as YAML allows
                node = YAML(typ="safe", pure=True).compose(text)
            self._document.data = None if node is None else self._plain(node, ())
        except MarkedYAMLError as fault:
            mark = fault.problem_mark or fault.context_mark
            raise ScenarioError.at(self._at(mark.line if mark else 0), f"is no YAML: {_problem(fault)}") from fault
        except ReaderError as fault:
            what = f"is no YAML: the character U+{ord(text[fault.position]):04X} is not allowed"
            raise ScenarioError.at(self._at(text[: fault.position].count("\n")), what) from fault
        except ScenarioError:
            raise
        except (YAMLError, ValueError, TypeError, AttributeError, LookupError) as fault:  # slips of the library on odd directives and tags
            raise ScenarioError.at(file, "is no YAML") from fault
        except RecursionError as fault:
            raise ScenarioError.at(file, "is nested too deeply") from fault

    def _at(self, line: int) -> str:
        return self._where or f"{self._document.file}:{line + 1}"

    def _plain(self, node: Any, trail: Trail) -> Any:
        line = node.start_mark.line
        self._document.places.setdefault(trail, self._at(line))
        self._count += 1
        if self._count > _MOST_VALUES:
            raise ScenarioError.at(self._where or self._document.file, f"holds more than {_MOST_VALUES:,} values, what its anchors expand to included")
        if node.tag.removeprefix("tag:yaml.org,2002:") not in _TAGS:
            raise ScenarioError.at(self._at(line), f"the tag {shown(node.tag.replace('tag:yaml.org,2002:', '!!'))} means nothing here; wanted the value alone")
        if isinstance(node.value, str):
            return _scalar(node.tag.rpartition(":")[2], node.value)
        if id(node) in self._inside:
            raise ScenarioError.at(self._at(line), "an anchor contains itself")
        self._inside.add(id(node))
        value = self._list(node, trail) if node.id == "sequence" else self._mapping(node, trail)
        self._inside.discard(id(node))
        return value

    def _list(self, node: Any, trail: Trail) -> list[Any]:
        return [self._plain(item, (*trail, index)) for index, item in enumerate(node.value)]

    def _mapping(self, node: Any, trail: Trail) -> dict[str | int, Any]:
        plain: dict[str | int, Any] = {}
        merged: list[Any] = []
        lines: dict[str, int] = {}
        for key, value in node.value:
            line = key.start_mark.line
            if key.id != "scalar":
                raise ScenarioError.at(self._at(line), f"came a {key.id} as a key; wanted a word or a number")
            if key.value in lines:
                raise ScenarioError.at(self._at(line), f"the key {shown(key.value)} is written twice, first on line {lines[key.value] + 1}")
            lines[key.value] = line
            if key.tag.endswith(":merge"):
                merged += value.value if value.id == "sequence" else [value]
                continue
            number = _scalar("int", key.value) if key.tag.endswith(":int") else key.value
            self._document.places[(*trail, number)] = self._at(line)
            plain[number] = self._plain(value, (*trail, number))
        for other in merged:  # what is written here, or merged earlier, wins
            inherited = Document(None, self._document.file)
            self._document, outer = inherited, self._document
            inherited.data, self._document = self._plain(other, ()), outer
            if not isinstance(inherited.data, dict):
                raise ScenarioError.at(self._at(other.start_mark.line), f"came {shown(inherited.data)}; wanted a mapping to merge")
            for name in inherited.data.keys() - plain.keys():
                outer.places.update({(*trail, *known): where for known, where in inherited.places.items() if known[:1] == (name,)})
            plain = {**inherited.data, **plain}
        return plain


def _scalar(kind: str, text: str) -> Any:
    """The value of a YAML scalar. What is none of its kind stays text, and is refused where a number is wanted."""
    if kind not in ("null", "bool", "int", "float"):
        return text
    digits = text.replace("_", "").lower()
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return digits in ("true", "yes", "on", "y")
            case "int":
                base = {"0x": 16, "0o": 8, "0b": 2}.get(digits.lstrip("+-")[:2], 10)
                return int(digits, base)
            case "float":
                return float(digits.replace(".inf", "inf").replace(".nan", "nan"))
    except ValueError:
        pass
    return text


_JARGON = {
    r"\('(<[\w ]+>)',\)": r"\1",
    r"'?<stream end>'?|unexpected end of stream": "the end of the file",
    "'?<block end>'?": "the end of the block",
    "'?<document (start|end)>'?": r"the \1 of a document",
    "'?<block (sequence|mapping) start>'?": r"the start of a \1",
    "'?<scalar>'?": "text",
    "the node content": "a value",
    " in the stream": "",
    "hexdecimal": "hexadecimal",
}


def _problem(fault: Any) -> str:
    """What the YAML library found, less its jargon."""
    problem, start = str(fault.problem or fault.context), fault.context_mark
    if "'\\t'" in problem:
        return "came a tab; wanted spaces"
    if problem.startswith("but found another document"):
        return "came a second document (`---`); wanted one"
    for jargon, words in _JARGON.items():
        problem = re.sub(jargon, words, problem)
    began = f", in what begins on line {start.line + 1}" if start is not None and fault.problem_mark and start.line != fault.problem_mark.line else ""
    return problem + began


def override(document: Document, assignment: str) -> Document:
    """`document` with one `key.of[0].value=VALUE` of the command line applied; VALUE is read as YAML."""
    where = f"--set {assignment}"
    dotted, equals, text = assignment.partition("=")
    if not equals or not dotted.strip():
        raise ScenarioError.at(where, "wanted key=value, such as --set cluster.pools[0].nodes=2")
    value = Document(None, where)
    _Reader(value, where=where).read(text)
    return overridden(document, dotted.strip(), value.data, where)


def overridden(document: Document, dotted: str, value: Any, where: str) -> Document:
    """`document` with the value at `dotted` (`a.b[0].c`) replaced; `where` says who asked for it.

    Below a name of the catalog, or the path of a YAML file, what it stands for is written out first and the value set in that.
    A value of None takes the key away.
    """
    if not _DOTTED.fullmatch(dotted):
        raise ScenarioError.at(where, f"{shown(dotted)} is no key; wanted one such as cluster.pools[0].nodes")
    keys: list[str | int] = [int(key) if key.isdecimal() else key for key in dotted.replace("[", ".").replace("]", "").split(".")]
    places = dict(document.places)

    def put(tree: Any, trail: Trail, rest: list[str | int]) -> Any:
        if not rest:
            for known in [known for known in places if known[: len(trail)] == trail]:
                del places[known]
            places[trail] = where
            return value
        key, *rest = rest
        if isinstance(tree, list):
            if not isinstance(key, int) or key >= len(tree):
                wanted = f"an index from 0 to {len(tree) - 1}" if tree else "the list as a whole: it is empty"
                raise ScenarioError.at(where, f"{path_text(trail)} is a list of {len(tree)}; came {shown(key)}, wanted {wanted}")
            return [put(item, (*trail, key), rest) if index == key else item for index, item in enumerate(tree)]
        if not isinstance(tree, dict):
            places[trail] = where  # what a scalar stands for gives way to the mapping that the rest of the key asks for
            tree = _behind(tree)
        if value is None and not rest:
            return {name: kept for name, kept in tree.items() if name != key}
        return {**tree, key: put(tree.get(key), (*trail, key), rest)}

    return Document(put(document.data, (), keys), document.file, places)


def _behind(came: Any) -> dict[str, Any]:
    """The mapping that a name of the catalog or the path of a YAML file stands for; an empty one where there is none."""
    if not isinstance(came, str):
        return {}
    kind = next((folder.name for folder in CATALOG.iterdir() if folder.is_dir() and came in catalog_names(folder.name)), None)
    if kind is not None:
        return dict(catalog_entry(kind, came))
    path = find(came) if came.endswith((".yaml", ".yml")) else None
    return dict(bare(read_yaml(path).data)) if path is not None else {}


@contextmanager
def looking_in(folder: Path) -> Iterator[None]:
    """While this lasts, relative paths in descriptions are looked for in `folder` first, then in the working directory."""
    token = _folder.set(folder)
    try:
        yield
    finally:
        _folder.reset(token)


def find(path: str) -> Path | None:
    """The absolute path of a file that a description names, or None where there is none."""
    folder = _folder.get()
    try:
        home = Path(path).expanduser()
        candidates = [home] if folder is None else [folder / home, home]
        return next((candidate.resolve() for candidate in candidates if candidate.is_file()), None)
    except (OSError, RuntimeError, ValueError):  # a name that is too long, a ~user that is none, a folder that may not be read
        return None


@cache
def catalog_names(kind: str) -> tuple[str, ...]:
    """The names in the catalog's folder `kind`, sorted."""
    return tuple(sorted(path.stem for path in (CATALOG / kind).glob("*.yaml")))


def named(kind: str, came: Any) -> Any:
    """What a catalog name or the path of a YAML file stands for, its figures bare; a mapping stands for itself.

    Raises ValueError, so that pydantic files it under the key where the name was written.
    """
    if isinstance(came, dict):
        return came
    if not isinstance(came, str):
        raise ValueError(f"came {shown(came)}; wanted a name in the catalog, the path of a file, or a mapping")
    if came in catalog_names(kind):
        return catalog_entry(kind, came)
    path = find(came)
    if path is None:
        looks_like_path = "/" in came or came.endswith((".yaml", ".yml", ".json"))
        if looks_like_path:
            raise ValueError(f"no file {shown(came)}")
        noun = _NOUNS.get(kind, kind.removesuffix("s"))
        raise ValueError(f"no {noun} {shown(came)} in the catalog{did_you_mean(came, catalog_names(kind))}")
    document = read_yaml(path)
    return FromFile(Document(bare(document.data), document.file, document.places))


@cache
def catalog_entry(kind: str, name: str) -> Any:
    """The catalog's file `kind`/`name`.yaml with its figures bare. Shared: never change it."""
    return bare(read_yaml(CATALOG / kind / f"{name}.yaml").data)


def bare(data: Any) -> Any:
    """`data` with each figure, `{value: …, source: …, confidence: …}`, replaced by its value, and provenance left out."""
    if isinstance(data, dict):
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            return data["value"]
        return {key: bare(value) for key, value in data.items() if key not in ("source", "confidence", "note")}
    if isinstance(data, list):
        return [bare(item) for item in data]
    return data


@dataclass(frozen=True)
class Figure:
    """One figure of a catalog file: `path` within the file, its value as written, and where that comes from."""

    path: str
    value: str
    source: str
    confidence: str
    note: str


def figures(data: Any, trail: Trail = (), about: tuple[str, str, str] = ("", "", "")) -> Iterator[Figure]:
    """Every figure under `data`; a mapping's own source, confidence and note (`about`) hold for the bare values inside it."""
    if isinstance(data, dict):
        source, confidence, note = (str(data.get(key, held)) for key, held in zip(("source", "confidence", "note"), about, strict=True))
        if "value" in data and data.keys() <= _FIGURE_KEYS:
            yield Figure(path_text(trail), str(data["value"]), source, confidence, str(data.get("note", "")))
            return
        for key, value in data.items():
            if key not in ("source", "confidence", "note", "name"):
                yield from figures(value, (*trail, key), (source, confidence, note))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from figures(value, (*trail, index), about)
    else:
        yield Figure(path_text(trail), str(data), *about)


def path_text(trail: Trail) -> str:
    """A trail as a user writes it.

    >>> path_text(("cluster", "pools", 0, "node"))
    'cluster.pools[0].node'
    """
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in trail)
    return text.removeprefix(".")


def describe(kind: type[Made], document: Document) -> Made:
    """The frozen description that `document` holds. Raises ScenarioError with every fault in it."""
    try:
        return kind.model_validate(document.data)
    except ValidationError as invalid:
        raise ScenarioError(_told(kind, document, invalid)) from invalid


def _told(kind: type[Description], document: Document, invalid: ValidationError) -> list[Fault]:
    """What pydantic found, in our words."""
    faults: list[Fault] = []
    for error in invalid.errors(include_url=False):
        inner = error.get("ctx", {}).get("error")
        if isinstance(inner, ScenarioError):  # of a file that this one names
            faults += inner.faults
        elif error["type"] != "too_short" or len(error["input"]) < error["ctx"]["min_length"]:  # else its items are at fault, and told
            faults.append(_sentence(kind, document, dict(error)))
    return faults


# What pydantic's types of error wanted; `{…}` is filled in from the error's context.
_WANTED = {
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a whole number of fewer digits",
    "float_type": "a number",
    "float_parsing": "a number",
    "truth": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "text",
    "string_pattern_mismatch": "letters, digits, '_', '.' and '-' only",  # the one pattern there is
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "more than {gt:g}",
    "greater_than_equal": "{ge:g} at least",
    "less_than": "less than {lt:g}",
    "less_than_equal": "{le:g} at most",
    "too_short": "at least {min_length}",
    "too_long": "at most {max_length}",
}


def _sentence(kind: type[Description], document: Document, error: dict[str, Any]) -> Fault:
    trail, owner, annotation = _trail_in_file(kind, document.data, error["loc"])
    came, context = error.get("input"), error.get("ctx", {})
    match error["type"]:
        case "missing" if isinstance(trail[-1], int):
            trail = trail[:-1]
            _, _, pair = _trail_in_file(kind, document.data, error["loc"][:-1])
            what = f"came a list of {len(came) if isinstance(came, (list, tuple)) else 0}; wanted one of {_length(pair)}"
        case "missing":
            what, trail = f"'{trail[-1]}' is missing{_wanted(owner, trail[-1])}", trail[:-1]
        case "extra_forbidden" | "invalid_key":
            if owner is not None and trail[-1] in owner.keys_beside:
                return Fault(document.place(trail), f"'{trail[-1]}' stands at the top of a file only")
            return Fault(document.place(trail), f"{under(trail[:-1])}unknown key '{trail[-1]}'{did_you_mean(trail[-1], _keys(owner))}")
        case "union_tag_invalid":
            trail = (*trail, str(context["discriminator"]).strip("'"))
            given = came.get(trail[-1]) if isinstance(came, dict) else context["tag"]
            what = f"no {trail[-1]} {shown(given)}{did_you_mean(given, _tags_of(annotation))}" if isinstance(given, str) else _one_of(given, annotation)
        case "union_tag_not_found":
            tag = str(context["discriminator"]).strip("'")
            if isinstance(came, dict) and came.get(tag) is not None:
                trail, what = (*trail, tag), _one_of(came[tag], annotation)
            else:
                what = f"'{tag}' is missing; wanted one of {', '.join(_tags_of(annotation))}"
        case "literal_error":
            known = [str(choice) for choice in _choices(annotation)]
            what = f"came {shown(came)}{did_you_mean(came, known)}" if len(known) > 1 else f"came {shown(came)}; only '{known[0]}' is known"
        case "value_error":
            what = str(context.get("error", error["msg"]))
        case "quantity":
            what = str(error["msg"])
        case other:
            wanted = _WANTED[other].format_map(context) if other in _WANTED else str(error["msg"]).removeprefix("Input should be ")
            length = f" of {len(came)}" if other == "too_long" and isinstance(came, (list, tuple)) else ""
            what = f"came {shown(came)}{length}; wanted {wanted}"
    return Fault(document.place(trail), f"{under(trail)}{what}")


def under(trail: Trail) -> str:
    """The beginning of a message about what is at `trail`; nothing for the file as a whole."""
    return f"{path_text(trail)}: " if trail else ""


def _wanted(owner: type[Description] | None, key: str | int) -> str:
    """`; wanted a rate such as '5 /s'` where the missing field is a quantity."""
    from cluster_sim.units import _KINDS, Quantity

    if owner is not None:
        for info in owner.model_fields.values():
            if info.alias == key:
                for note in info.metadata:
                    if isinstance(note, Quantity):
                        return f"; wanted {_KINDS[note.unit]} such as '{note.example}'"
    return ""


def _keys(kind: type[Description] | None) -> list[str]:
    return sorted([*(info.alias or name for name, info in kind.model_fields.items()), *kind.keys_beside]) if kind else []


def _trail_in_file(kind: type[Description], data: Any, loc: tuple[str | int, ...]) -> tuple[Trail, type[Description] | None, Any]:
    """Pydantic's `loc` as keys of the file, the description that holds the last of them, and the type of its value.

    A union's tag stands in `loc` between the union's key and the keys of the member; it is left out. So is what lies inside
    a value that the file writes as a scalar, such as the `tokens` of a length that is a bare number.
    """
    trail: list[str | int] = []
    owner: type[Description] | None = kind
    annotation: Any = kind
    for step in loc:
        members = _members(annotation)
        tagged = [member for member in members if step in _tags(member)]
        if len(members) > 1 and tagged:
            annotation = owner = tagged[0]
            continue
        if step == "[key]" or not isinstance(data, (dict, list)):
            break
        model = next((member for member in members if isinstance(member, type) and issubclass(member, Description)), None)
        owner = model
        trail.append(step)
        if isinstance(data, list):
            data = data[step] if isinstance(step, int) and step < len(data) else None
        else:  # the keys of a mapping of numbers stand as text in `loc`
            data = next((value for key, value in data.items() if key == step or str(key) == str(step)), None)
        if model is None:
            annotation = _item(annotation)
        else:
            info = next((info for info in model.model_fields.values() if info.alias == step), None)
            annotation = info.annotation if info else None
    return tuple(trail), owner, annotation


def _members(annotation: Any) -> list[Any]:
    if typing.get_origin(annotation) is Annotated:
        return _members(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        return [member for argument in typing.get_args(annotation) for member in _members(argument)]
    return [] if annotation is None or annotation is type(None) else [annotation]


def _item(annotation: Any) -> Any:
    for member in _members(annotation):
        if typing.get_origin(member) in (list, tuple, dict):
            return next((argument for argument in reversed(typing.get_args(member)) if argument is not Ellipsis), None)
    return None


def _length(annotation: Any) -> int:
    """How many items a tuple type such as tuple[str, str] has."""
    return next((len(typing.get_args(member)) for member in _members(annotation) if typing.get_origin(member) is tuple), 0)


def _tags(member: Any) -> list[str]:
    """What may tag a member in its union: the value of the first of its fields that has one value only."""
    if not (isinstance(member, type) and issubclass(member, Description)):
        return []
    single = (typing.get_args(info.annotation) for info in member.model_fields.values() if typing.get_origin(info.annotation) is Literal)
    return [str(values[0]) for values in single if len(values) == 1][:1]


def _tags_of(annotation: Any) -> list[str]:
    return sorted(tag for member in _members(annotation) for tag in _tags(member))


def _one_of(came: Any, union: Any) -> str:
    return f"came {shown(came)}; wanted one of {', '.join(_tags_of(union))}"


def _choices(annotation: Any) -> list[Any]:
    return [choice for member in _members(annotation) if typing.get_origin(member) is Literal for choice in typing.get_args(member)]
