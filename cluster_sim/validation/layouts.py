"""Layouts that rows of a table of measurements state."""

from __future__ import annotations

import re
from typing import NamedTuple

from cluster_sim.physics.replica_layout import layout_name
from cluster_sim.validation.table_rows import Row

_MIXTURES = ("gpt-oss", "DeepSeek", "deepseek", "Scout", "Mixtral", "Qwen3-235B")
_LAYOUT = re.compile(
    r"TP(?P<tensor>\d+)(?:[ /]EP(?P<expert>\d+))?(?P<attention> attn-DP)?"
    r"(?: x(?P<replicas>\d+) replicas)?"
)
_DEP = re.compile(r"DEP(?P<devices>\d+)(?: \(attention DP(?P=devices), EP(?P=devices)\))?")
_RANKS = re.compile(r"(?:TP(?P<tensor>\d+)[ /]?)?DP(?P<data>\d+)[ /]?EP(?P<expert>\d+)")
_APART = re.compile(r"PD: (\d+) x (.+) prefill \+ (\d+) x (.+) decode")


class Group(NamedTuple):
    """Parallelism of one replica, and number of replicas."""

    tensor_parallel: int = 1
    data_parallel: int = 1
    expert_parallel: int = 1
    replicas: int = 1

    @property
    def devices(self) -> int:
        """Number of devices per replica."""
        return self.tensor_parallel * self.data_parallel

    @property
    def name(self) -> str:
        """Tensor, attention data and expert parallelism, such as TP8 or TP1DP8EP8."""
        return layout_name(self.tensor_parallel, 1, self.data_parallel, self.expert_parallel)


class StatedLayout(NamedTuple):
    """Layout that a row states."""

    main: Group
    """Replicas that decode."""
    prefill: Group | None = None
    """Replicas that prefill; None if the same replicas do both."""


def stated_layout(row: Row) -> StatedLayout | None:
    """Return the parallelism that a row states; None if it states no layout that is simulated.

    The tables of TensorRT-LLM ran mixtures of experts with attention data parallelism, even in rows
    that state TPn.
    """
    text = row["parallelism"]
    if text.startswith("pipeline over wafers"):
        return StatedLayout(Group())
    if match := _APART.fullmatch(text):
        prefill, decode = _group(match[2]), _group(match[4])
        if prefill is None or decode is None or prefill.replicas > 1 or decode.replicas > 1:
            return None
        return StatedLayout(
            decode._replace(replicas=int(match[3])), prefill._replace(replicas=int(match[1]))
        )
    group = _group(text)
    if group is None:
        return None
    if row["dataset"] == "trtllm_perf_overview" and row["model"].startswith(_MIXTURES):
        size = group.devices
        group = Group(1, size, size, group.replicas)
    return StatedLayout(group)


def _group(text: str) -> Group | None:
    """Return the parallelism of replicas, such as TP8 EP8, DEP8, DP8 EP8 or TP4 attn-DP."""
    if match := _DEP.fullmatch(text):
        return Group(1, int(match["devices"]), int(match["devices"]))
    if match := _RANKS.fullmatch(text):
        return Group(*(int(match[name] or 1) for name in ("tensor", "data", "expert")))
    if not (match := _LAYOUT.fullmatch(text)):
        return None
    tensor, expert, replicas = (int(match[name] or 1) for name in ("tensor", "expert", "replicas"))
    if match["attention"]:
        return Group(1, tensor, tensor, replicas)
    return Group(tensor, 1, expert, replicas)
