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
    "user_per_s": "tokens/s of a user",
    "prefix_hits": "prefix hits, points",
}
"""Metrics that are compared, with their names in tables and figures."""

TTFT_RULE = (
    "TTFT counts on vLLM, in MLPerf and on TensorRT-LLM in InferenceMAX, whose batch wait is known: elsewhere its settings are not stated, "
    "and SGLang's order is not simulated."
)

"""Rule by which TTFT counts, as it is told to people."""

Load = Literal["clients", "sessions", "queued", "poisson", "none"]
"""Kind of load of a run."""


@dataclass(frozen=True)
class MeasuredRun:
    """One run of a serving benchmark, with all that was measured of it."""

    dataset: str
    source: str
    hardware: str
    model: str
    precision: str
    framework: str
    tensor_parallel: int
    data_parallel: int
    expert_parallel: int
    replicas: int
    isl: float
    """Nominal or mean length of prompts [tokens]."""
    osl: float
    """Nominal or mean length of answers [tokens]."""
    load: Load
    amount: float
    """Number of clients, or of conversations at once; number of requests queued at once (0: not
    stated); or requests per second."""
    split_key: str
    notes: str
    values: Mapping[str, float]
    """Measured figures by the keys of `METRICS`."""
    steady: bool = False
    """Whether its throughput was worked out from TTFT and TPOT as if every client were always being
    served."""
    speculation: tuple[int, float] | None = None
    """Tokens drafted in each step, and mean number of tokens per step; None: no speculation."""
    wafers: int | None = None
    """Number of wafers of a replica; None on GPUs."""
    at_launch: bool = False
    """Whether an API served it with the software of its launch, which has an engine profile of its
    own."""

    @property
    def name(self) -> str:
        """Name of the run in messages."""
        machine = f"{self.hardware} {self.model} {self.precision} {self.layout}"
        return f"{machine} {self.isl:.0f}/{self.osl:.0f} {self.load} {self.amount:g}"

    @property
    def layout(self) -> str:
        """Tensor, attention data and expert parallelism, as tables write them."""
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
        """Whether lengths are uniform in [0.8, 1.0] x nominal, as InferenceMAX draws them."""
        return "uniform in [0.8,1.0]" in self.notes

    def scored(self) -> Iterator[str]:
        """Yield the metrics that count: all but those that `TTFT_RULE` leaves out."""
        engine = self.framework.lower()
        is_known = (
            self.dataset.startswith("mlperf")
            or engine.startswith("vllm")
            or (self.dataset == "inferencemax_silicon" and engine.startswith("trtllm"))
        )
        for metric in self.values:
            if metric != "ttft_ms" or is_known:
                yield metric
