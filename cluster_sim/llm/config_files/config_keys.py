"""Look-up of config.json keys under all their spellings; faults are collected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from cluster_sim.errors import shown
from cluster_sim.limits import COUNT
from cluster_sim.llm.config_files.families import FAMILIES, WRAPPERS, family_of
from cluster_sim.llm.config_files.family import Family
from cluster_sim.llm.config_files.family_keys import has_key, is_for_every_layer
from cluster_sim.llm.config_files.layer_order import LayerOrder
from cluster_sim.llm.read_from import Topic

_NESTED = ("text_config", "language_config", "llm_config", "thinker_config")
"""Keys that hold the language model of a multimodal model."""

_TIED = "tie_word_embeddings"
_PER_LAYER = frozenset(
    ("num_key_value_heads", "intermediate_size", "moe_intermediate_size", "num_experts", "moe_topk",
     "num_experts_per_tok", "num_shared_expert", "moe_num_experts", "ffn_hidden_size")
)  # fmt: skip
"""Keys that some families write as a list with one value per layer."""
_NEVER_NULL = frozenset(
    ("decoder_sparse_step", "interleave_moe_layer_step", "moe_layer_interval", "moe_layer_freq", "max_window_layers",
     "first_k_dense_replace", "sliding_window_pattern")
)  # fmt: skip
"""Keys that no family writes as null; the meaning of null is not documented for them."""


P = ParamSpec("P")
T = TypeVar("T")
Reading = Callable[Concatenate["ConfigKeys", P], T]


def about(topic: Topic) -> Callable[[Reading[P, T]], Reading[P, T]]:
    """Return a decorator for functions whose keys describe one topic of the model."""

    def mark(read: Reading[P, T]) -> Reading[P, T]:
        @wraps(read)
        def marked(reader: ConfigKeys, /, *args: P.args, **kwargs: P.kwargs) -> T:
            outside, reader.topic = reader.topic, topic
            try:
                return read(reader, *args, **kwargs)
            finally:
                reader.topic = outside

        return marked

    return mark


_NEVER_EMPTY = ("layer_types", "mlp_layer_types")
"""Lists that no family leaves empty."""


class ConfigKeys:
    """Content of a config.json, the spellings that were looked up, and the faults.

    A null counts as a missing key, but does not take the default of the family.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config, self.own = _unnested(config)
        self.is_nested = self.own is not config
        self.outside = str(config.get("model_type") or "") if self.is_nested else ""
        """`model_type` of the model that contains the language model; empty without one."""
        self.faults: list[str] = list(_two_values(config))
        self.notes: list[str] = []
        self.looked_up: set[str] = set()
        self.passed_over: set[str] = set()
        """Keys that other families have, but this family does not."""
        self.model_type = str(self.config.get("model_type") or "")
        self.family: Family | None = family_of(self.model_type, self.config.get("architectures"))
        self.defaults = _defaults(self.family, self.outside)
        """Values of keys that files of the family omit."""
        self.layers = 0
        """Number of layers, once it is read; lists have one value per layer."""
        self.order = LayerOrder()
        self.topic: Topic = "attention"
        """Topic that the keys being read describe."""
        self._used: dict[Topic, dict[str, None]] = {}

    def value(self, *keys: str, among: dict[str, Any] | None = None) -> tuple[str, Any]:
        """Return the first of `keys` that is present and its value, or the first key and None.

        Two spellings with different values are a fault. Keys that the family does not have are
        ignored here. They count as unknown later, unless they repeat a value that was read.
        """
        config = self.config if among is None else among
        there = [
            key
            for key in keys
            if config.get(key) is not None and (among is not None or self.has(key))
        ]
        self._look_up(keys, config, config[there[0]] if there else None)
        for other in there[1:]:
            if config[other] != config[there[0]]:
                self.fault(
                    f"{there[0]} and {other}: got {shown(config[there[0]])} and {shown(config[other])}; expected one value"
                )
        if there:
            self.use(there[0])
            return there[0], config[there[0]]
        for key in keys if among is None else ():
            # a written null means that the model has no such part
            if key in self.defaults and key not in config:
                self.use(f"{key} (default of {self.model_type})")
                return key, self.defaults[key]
        return keys[0], None

    @property
    def has_class_of_its_own(self) -> bool:
        """Whether the defaults of the class of `model_type` are unknown."""
        return self.family is None or bool(self.model_type and self.model_type not in FAMILIES)

    def use(self, key: str) -> None:
        """Note that a property of the model was read from a key or from a side file."""
        self._used.setdefault(self.topic, {})[key] = None

    def read_from(self) -> list[dict[str, Any]]:
        """Return the keys that were read, by topic."""
        return [{"topic": topic, "keys": list(keys)} for topic, keys in self._used.items()]

    def has(self, key: str) -> bool:
        """Return whether the model's family has a key."""
        return has_key(self.model_type, key)

    def given(self, key: str) -> bool:
        """Return whether the file has a value under a key of the family."""
        return self.has(key) and self.config.get(key) is not None

    def _look_up(self, keys: tuple[str, ...], config: dict[str, Any], value: Any) -> None:
        """Note the keys that were read or that change nothing."""
        for key in keys:
            written = config.get(key)
            if (
                config is not self.config
                or self.has(key)
                or written == value
                or is_for_every_layer(key, written)
            ):
                self.looked_up.add(key)
            else:
                self.passed_over.add(key)

    def count(
        self,
        *keys: str,
        default: int | None = None,
        least: int = 1,
        among: dict[str, Any] | None = None,
    ) -> int:
        """Return the whole number under one of `keys`, or else `default`.

        Some families write certain keys as a list with one number per layer. Such a list counts as
        the number if all entries are equal. A missing number without a default and a value of
        another type are faults.
        """
        key, value = self.value(*keys, among=among)
        if value is None:
            if any(
                one in _NEVER_NULL and self.has(one) and self.config.get(one, 0) is None
                for one in keys
            ):
                self.fault(f"{key}: got null; expected a whole number")
            if default is None:
                self.fault(f"{keys[0]}: is missing; expected a whole number")
            return least if default is None else default
        if isinstance(value, list) and value and key in _PER_LAYER:
            if any(one != value[0] for one in value):
                self.fault(
                    f"{key}: got a list of different values; expected one value: layers of different widths are not simulated yet"
                )
                return max(least, 1)
            if len(value) != self.layers:
                self.fault(
                    f"{key}: got a list of {len(value)}; expected a whole number, or a list of {self.layers}, one per layer"
                )
            value = value[0]
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            self.fault(f"{key}: got {shown(value)}; expected a whole number of at least {least}")
            return max(least, 1)
        if value > COUNT.most:
            self.fault(f"{key}: got {value}; expected at most {COUNT.most:,}: {COUNT.why}")
            return max(least, 1)
        return value

    def truth(self, key: str, *, default: bool, among: dict[str, Any] | None = None) -> bool:
        """Return the boolean under `key`, or else `default`."""
        _, value = self.value(key, among=among)
        is_null = among is None and key in self.config and value is None and self.has(key)
        if is_null or (value is not None and not isinstance(value, bool)):
            self.fault(f"{key}: got {shown(value)}; expected true or false")
        return value if isinstance(value, bool) else default

    def entries(self, key: str, among: dict[str, Any] | None = None) -> list[Any]:
        """Return the list under `key`; empty without one."""
        _, value = self.value(key, among=among)
        if value is not None and not isinstance(value, list):
            self.fault(f"{key}: got {shown(value)}; expected a list")
        return value if isinstance(value, list) else []

    def one_per_layer(self, key: str, among: dict[str, Any] | None = None) -> list[Any]:
        """Return the list under `key`, which has one entry per layer; empty without one."""
        entries = self.entries(key, among)
        is_empty = key in _NEVER_EMPTY and self.has(key) and self.config.get(key) == []
        if (entries or is_empty) and len(entries) != self.layers:
            self.fault(
                f"{key}: got a list of {len(entries)}; expected {self.layers} entries, one per layer"
            )
        return entries

    def mapping(self, key: str) -> dict[str, Any]:
        """Return the mapping under `key`; empty without one."""
        _, value = self.value(key)
        if value is not None and not isinstance(value, dict):
            self.fault(f"{key}: got {shown(value)}; expected a mapping")
        return value if isinstance(value, dict) else {}

    def fault(self, text: str) -> None:
        """Add a fault unless it is in the list already."""
        if text not in self.faults:
            self.faults.append(text)


def _defaults(family: Family | None, outside: str) -> dict[str, Any]:
    """Return the values of keys that files of a family omit; `outside` is the outer model."""
    if family is None:
        return {}
    return family.defaults | family.inside if outside in WRAPPERS else family.defaults


def _two_values(config: dict[str, Any]) -> Iterator[str]:
    """Yield a fault if a model and the language model inside disagree about tied embeddings."""
    inner = next((config[key] for key in _NESTED if isinstance(config.get(key), dict)), None)
    if inner is None:
        return
    around, inside = config.get(_TIED), inner.get(_TIED)
    if around is not None and inside is not None and around != inside:
        yield f"{_TIED}: got {shown(around)} outside and {shown(inside)} inside the language model; expected one value"
    yield from _two_values(inner)


def _unnested(config: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the keys of the language model merged over the outer keys, and its own keys alone."""
    own, merged = config, dict(config)
    for _ in range(3):
        inner = next((own[key] for key in _NESTED if isinstance(own.get(key), dict)), None)
        if inner is None:
            break
        if "model_type" in inner:  # the outer name is that of another model
            merged = {key: value for key, value in merged.items() if key != "architectures"}
        tied = merged.get(_TIED)
        own, merged = inner, merged | inner
        if merged.get(_TIED) is None and tied is not None:
            merged[_TIED] = tied
    return merged, own
