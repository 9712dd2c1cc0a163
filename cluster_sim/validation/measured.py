"""One measured run of a serving benchmark, and what its names mean in the catalog."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from cluster_sim.calibration.wafer import QWEN3_32B
from cluster_sim.hardware.precision import Precision

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
"""What is compared, and what tables and figures call it."""

TTFT_RULE = (
    "TTFT counts on vLLM, in MLPerf and on TensorRT-LLM in InferenceMAX, whose batch wait is known: elsewhere its settings are not stated, "
    "and SGLang's order is not simulated."
)


NODES = {
    "B200": "dgx-b200",
    "H200": "dgx-h200",
    "H100": "dgx-h100",
    "A100-80GB": "dgx-a100",
    "GB200": "gb200-nvl72",
    "CS-3": "cs-3",
}
MODELS = {
    "Llama-3.1-8B-Instruct": "llama-3.1-8b",
    "llama3.1-8b": "llama-3.1-8b",
    "Llama-3.1-70B-Instruct": "llama-3.3-70b",
    "Llama-3.3-70B-Instruct": "llama-3.3-70b",
    "llama2-70b": "llama-2-70b",
    "Llama-2-70B": "llama-2-70b",
    "Llama-3.1-405B-Instruct": "llama-3.1-405b",
    "llama3.1-405b": "llama-3.1-405b",
    "DeepSeek-R1": "deepseek-r1",
    "DeepSeek-R1-0528": "deepseek-r1",
}
INLINE = {"Qwen3-32B": QWEN3_32B}
PRECISIONS: dict[str, Precision] = {
    "bf16": "bf16",
    "fp16": "bf16",
    "16-bit": "bf16",
    "fp8": "fp8",
    "fp4": "fp4",
}


Load = Literal["clients", "sessions", "queued", "poisson", "none"]


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
    """Nominal or mean prompt [tokens]."""
    osl: float
    """Nominal or mean answer [tokens]."""
    load: Load
    amount: float
    """Clients, or conversations at once; requests queued at once (0: not stated); or requests a
    second."""
    split_key: str
    notes: str
    values: Mapping[str, float]
    """Measured, by the keys of `METRICS`."""
    steady: bool = False
    """Its throughput was worked out from TTFT and TPOT as if every client were always being
    served."""
    speculation: tuple[int, float] | None = None
    """Tokens drafted in each step, and tokens that a step makes in the mean; None: no
    speculation."""
    wafers: int | None = None
    """Of a replica on wafers; None: on GPUs."""
    at_launch: bool = False
    """Whether an API served it with the software of its launch, which has an engine profile of its
    own."""

    @property
    def name(self) -> str:
        """What the run is called in messages."""
        return f"{self.hardware} {self.model} {self.precision} {self.layout} {self.isl:.0f}/{self.osl:.0f} {self.load} {self.amount:g}"

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
        """Of all replicas."""
        return self.tensor_parallel * self.data_parallel * self.replicas

    @property
    def spread(self) -> bool:
        """Whether lengths are uniform in [0.8, 1.0] x nominal, as InferenceMAX draws them."""
        return "uniform in [0.8,1.0]" in self.notes

    def scored(self) -> Iterator[str]:
        """Which of its figures count: all but those of `TTFT_RULE`."""
        engine = self.framework.lower()
        known = (
            self.dataset.startswith("mlperf")
            or engine.startswith("vllm")
            or (self.dataset == "inferencemax_silicon" and engine.startswith("trtllm"))
        )
        for metric in self.values:
            if metric != "ttft_ms" or known:
                yield metric
