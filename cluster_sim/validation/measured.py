"""One measured run of a serving benchmark."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

METRICS = {
    "ttft_ms": "TTFT",
    "tpot_ms": "TPOT",
    "output_per_s": "output tokens/s",
    "ttft_p99_ms": "TTFT p99",
    "tpot_p99_ms": "TPOT p99",
    "kv_tokens": "KV tokens",
    "user_per_s": "tokens/s per user",
    "prefix_hits": "prefix hits, points",
}
"""Metrics that are compared, with their names in tables and figures."""

TTFT_RULE = (
    "TTFT is compared for vLLM, for MLPerf, and for TensorRT-LLM in InferenceMAX, whose batch wait is known. "
    "Other runs of TensorRT-LLM do not state their settings, and the queue order of SGLang is not simulated."
)
"""Rule that determines the runs whose TTFT is compared, as a text for users."""

Load = Literal["clients", "sessions", "queued", "poisson", "none"]
"""Kind of load of a run."""


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
    """Nominal or mean length of answers [tokens]."""
    load: Load
    """Kind of load."""
    amount: float
    """Amount of load. Clients: number of clients. Sessions: number of concurrent conversations.
    Queued: number of requests at the start (0: not stated). Poisson: rate [1/s]."""
    split_key: str
    """Key of the table that identifies the configuration."""
    notes: str
    """Notes of the table."""
    values: Mapping[str, float]
    """Measured values by the keys of `METRICS`."""
    steady: bool = False
    """Whether the throughput was computed from TTFT and TPOT for clients that are always served."""
    speculation: tuple[int, float] | None = None
    """Number of drafted tokens per step, and mean number of tokens per step; None: no speculation."""
    wafers: int | None = None
    """Number of wafers per replica; None on GPUs."""
    at_launch: bool = False
    """Whether a public API was measured with its launch software, which has a separate engine
    profile."""

    @property
    def name(self) -> str:
        """Name of the run in messages."""
        machine = f"{self.hardware} {self.model} {self.precision} {self.layout}"
        return f"{machine} {self.isl:.0f}/{self.osl:.0f} {self.load} {self.amount:g}"

    @property
    def layout(self) -> str:
        """Tensor, attention data and expert parallelism, such as TP8 or TP1DP8EP8."""
        parts = (
            ("TP", self.tensor_parallel),
            ("DP", self.data_parallel),
            ("EP", self.expert_parallel),
        )
        return "".join(f"{name}{size}" for name, size in parts if size > 1 or name == "TP")

    @property
    def devices(self) -> int:
        """Number of devices of all replicas."""
        return self.tensor_parallel * self.data_parallel * self.replicas

    @property
    def spread(self) -> bool:
        """Whether lengths are uniform between 0.8 and 1.0 of the nominal length (InferenceMAX)."""
        return "uniform in [0.8,1.0]" in self.notes

    def scored(self) -> Iterator[str]:
        """Yield the metrics that are compared: all except TTFT, which follows `TTFT_RULE`."""
        engine = self.framework.lower()
        is_known = (
            self.dataset.startswith("mlperf")
            or engine.startswith("vllm")
            or (self.dataset == "inferencemax_silicon" and engine.startswith("trtllm"))
        )
        for metric in self.values:
            if metric != "ttft_ms" or is_known:
                yield metric
