"""One measured run of a serving benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cluster_sim.validation.agents import AgentLoad
from cluster_sim.validation.drafting_recipes import StatedDrafts
from cluster_sim.validation.engine_flags import Setting
from cluster_sim.validation.layouts import Group
from cluster_sim.validation.releases import Release, release_of

METRICS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "output_per_s": "output tokens/s",
    "ttft_p50_ms": "TTFT p50",
    "ttft_p90_ms": "TTFT p90",
    "ttft_p99_ms": "TTFT p99",
    "tpot_p50_ms": "TPOT p50",
    "tpot_p90_ms": "TPOT p90",
    "tpot_p99_ms": "TPOT p99",
    "decode_ms": "decode time of an answer",
    "kv_tokens": "KV tokens",
    "kv_gb": "KV GB per device",
    "user_per_s": "tokens/s per user",
    "prefix_hits": "prefix hits, points",
    "decode_per_device": "decode tokens/s per device",
    "prefill_per_device": "prompt tokens/s per device",
}
"""Metrics that are compared, with their names in tables and figures."""

TTFT_RULE = (
    "TTFT is compared for vLLM, for MLPerf, for TensorRT-LLM and SGLang in InferenceMAX and "
    "InferenceX, whose scripts state the waits, and for ATOM, to whose TTFT a time per request is "
    "fitted. Other runs of TensorRT-LLM and SGLang do not state their settings. On AMD the first "
    "prompts of SGLang's servers waited for compilation, so the median alone is compared. "
    "The catalog's engine_releases.csv lists this by engine and release."
)
"""Rule that determines the runs whose TTFT is compared, as a text for users."""

Load = Literal["clients", "sessions", "agents", "queued", "poisson", "decode", "prefill", "none"]
"""Kind of load of a run. Decode and prefill: one group of devices that does this alone."""


@dataclass(frozen=True)
class MeasuredRun:
    """One measured run of a serving benchmark."""

    dataset: str
    """Name of the data set."""
    source: str
    """Source of the measurement."""
    hardware: str
    """Name of the hardware, as the table writes it."""
    model: str
    """Name of the model, as the table writes it."""
    precision: str
    """Precision of the weights, as the table writes it."""
    framework: str
    """Serving engine, with its version if it is known."""
    tensor_parallel: int
    """Degree of tensor parallelism."""
    data_parallel: int
    """Degree of attention data parallelism."""
    expert_parallel: int
    """Degree of expert parallelism."""
    replicas: int
    """Number of replicas."""
    isl: float
    """Nominal or mean length of prompts [tokens]."""
    osl: float
    """Nominal or mean length of answers [tokens]; 0 if a group decodes or prefills alone and none
    is stated."""
    load: Load
    """Kind of load."""
    amount: float
    """Amount of load. Clients and agents: number of clients. Sessions: number of concurrent
    conversations. Queued: number of requests at the start (0: not stated). Poisson: rate [1/s].
    Decode: number of sequences per device (0: as many as the memory holds). Prefill: number of
    prompts per device and step (0: as many as a step holds)."""
    split_key: str
    """Key of the table that identifies the configuration."""
    notes: str
    """Notes of the table."""
    values: Mapping[str, float]
    """Measured values by the keys of `METRICS`."""
    steady: bool = False
    """Whether the throughput was computed from TTFT and TPOT for clients that are always served."""
    drafts: StatedDrafts | None = None
    """Drafts of the run; None: no speculation."""
    wafers: int | None = None
    """Number of wafers per replica; None on GPUs."""
    date: str = ""
    """Date of the run, such as 2026-04 or 2026-04-17; empty if it is not stated."""
    prefill: Group | None = None
    """Replicas that prefill, if others decode; None if the same replicas do both."""
    agents: AgentLoad | None = None
    """Load of agents; None for other loads."""
    settings: tuple[Setting, ...] = ()
    """Settings of the engine that are not those of all runs, as `engine_flags.csv` lists them."""

    @property
    def name(self) -> str:
        """Name of the run in messages."""
        machine = f"{self.hardware} {self.model} {self.precision} {self.layout}"
        return f"{machine} {self.isl:.0f}/{self.osl:.0f} {self.load} {self.amount:g}"

    @property
    def layout(self) -> str:
        """Tensor, attention data and expert parallelism, such as TP8 or TP1DP8EP8.

        If others prefill, they and the numbers of replicas are given: 1xTP4+2xTP8.
        """
        if self.prefill is None:
            return self.group.name
        prefill = f"{self.prefill.replicas}x{self.prefill.name}"
        return f"{prefill}+{self.replicas}x{self.group.name}"

    @property
    def group(self) -> Group:
        """Replicas that decode."""
        return Group(self.tensor_parallel, self.data_parallel, self.expert_parallel, self.replicas)

    @property
    def release(self) -> Release:
        """Engine release, with the profile that stands for it."""
        release = release_of(self.framework, self.date, self.dataset, self.hardware)
        assert release is not None, f"{self.framework} has no profile"
        return release

    @property
    def devices(self) -> int:
        """Number of devices of all replicas."""
        prefill = self.prefill.devices * self.prefill.replicas if self.prefill is not None else 0
        return self.group.devices * self.replicas + prefill

    @property
    def spread(self) -> bool:
        """Whether lengths are uniform between 0.8 and 1.0 of the nominal length (InferenceMAX)."""
        return "uniform in [0.8,1.0]" in self.notes

    @property
    def unset(self) -> tuple[Setting, ...]:
        """Settings that neither the set-up nor the engine profile has, and that change a metric."""
        known = self.release.settings
        return tuple(
            setting
            for setting in self.settings
            if setting.changes and setting.name not in known and setting.setting not in known
        )

    def scored(self) -> Iterator[str]:
        """Yield the metrics that are compared.

        TTFT follows `TTFT_RULE`. Metrics that a setting in `unset` changes are omitted.
        """
        changed = frozenset().union(*(setting.changes for setting in self.unset))
        release = self.release
        for metric in self.values:
            is_left_out = metric.startswith("ttft") and (
                not release.has_ttft or (release.has_late_start and metric != "ttft_p50_ms")
            )
            if metric not in changed and not is_left_out:
                yield metric
