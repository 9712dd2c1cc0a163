"""Options of engines for the exchange between attention ranks and experts, and what they stand for.

Source
------
vLLM main@00193b8, `vllm/config/parallel.py` (all2all_backend). SGLang 0.4.10 and 0.5.10,
`sglang/srt/server_args.py`. TensorRT-LLM takes the kind from its environment alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.served import Served
from cluster_sim.physics.exchange_kinds import ExchangePlan
from cluster_sim.serving.phase_exchanges import exchange_plan

_KEY = "replica.engine.expert_exchange"
_VLLM = {
    "all_gather_reduce_scatter": "allgather_reducescatter",
    "deepep_normal": "deepep_high_throughput",
    "deepep_low_latency": "deepep_low_latency",
    "nvlink_one_sided": "flashinfer_nvlink_one_sided",
    "nvlink_two_sided": "flashinfer_nvlink_two_sided",
}
_SGLANG = {"all_gather_reduce_scatter": "none", "nvlink_one_sided": "flashinfer"}
_MODES = {
    ExchangePlan("deepep_normal", "deepep_low_latency"): "auto",
    ExchangePlan("deepep_normal", "deepep_normal"): "normal",
    ExchangePlan("deepep_low_latency", "deepep_low_latency"): "low_latency",
}
"""Modes of DeepEP in SGLang by the kinds of both phases."""


def vllm_options(served: Served) -> dict[str, Any]:
    """Return the option of vLLM for the exchange of a pool; empty if it has none.

    A server has one kind for all steps. A pool that serves one phase has that of its phase.
    """
    prefill, decode = exchange_plan(served.engine.expert_exchange)
    role = served.plan.role
    kind = decode if role == "decode" else prefill
    if (role == "both" and prefill != decode) or kind not in _VLLM:
        return {}
    return {"--all2all-backend": _VLLM[kind]}


def sglang_options(served: Served) -> dict[str, Any]:
    """Return the options of SGLang for the exchange of a pool; empty if it has none."""
    plan = exchange_plan(served.engine.expert_exchange)
    if plan in _MODES:
        return {"--moe-a2a-backend": "deepep", "--deepep-mode": _MODES[plan]}
    if plan.prefill == plan.decode and plan.decode in _SGLANG:
        return {"--moe-a2a-backend": _SGLANG[plan.decode]}
    return {}


def read_vllm(keys: Keys, backend: str | None) -> None:
    """Set the exchange that vLLM's back end stands for."""
    if backend is not None:
        _put(keys, _inverse(_VLLM).get(backend), f"--all2all-backend {backend}")


def read_sglang(keys: Keys, backend: str | None, mode: str | None) -> None:
    """Set the exchange that SGLang's back end, and the mode of DeepEP, stand for."""
    if backend == "deepep":
        modes = {text: plan for plan, text in _MODES.items()}
        plan = modes.get(mode or "auto")
        _put(keys, None if plan is None else plan._asdict(), f"--deepep-mode {mode}")
    elif backend is not None:
        _put(keys, _inverse(_SGLANG).get(backend), f"--moe-a2a-backend {backend}")


def _put(keys: Keys, value: Any, argument: str) -> None:
    if value is None:
        keys.notes.append(f"{argument} is not simulated; {_KEY} keeps its default")
    keys.put(_KEY, value)


def _inverse(names: Mapping[str, str]) -> dict[str, str]:
    return {text: kind for kind, text in names.items()}
