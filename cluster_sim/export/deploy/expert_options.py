"""Options of engines about experts: redundant copies, and two batches in a step.

Sources
-------
vLLM 0.10.2 to 0.33.0, `vllm/config/parallel.py` (EPLBConfig, enable_dbo); SGLang 0.4.6 to
0.5.23, `server_args.py`; TensorRT-LLM, documentation 1.2, `moe_config.load_balancer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from cluster_sim.errors import ScenarioError, shown
from cluster_sim.export.deploy.arguments import Reading
from cluster_sim.export.deploy.facts import catalog_value
from cluster_sim.export.deploy.keys import Keys
from cluster_sim.export.deploy.served import Served
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_names import known_model
from cluster_sim.serving.engine import Engine

_SPLIT = "replica.engine.two_batch_from"


def of_vllm(served: Served, profile: Engine) -> dict[str, Any]:
    """Return the options of `vllm serve` about experts."""
    plan = served.plan
    written: dict[str, Any] = {}
    if copies := plan.redundant_experts:
        written["--enable-eplb"] = True
        written["--eplb-config"] = {"num_redundant_experts": copies}
    if plan.overlap == "two_batch":
        written["--enable-dbo"] = True
        sizes, usual = served.engine.two_batch_from, profile.two_batch_from
        if sizes is not None and sizes != usual:
            written["--dbo-decode-token-threshold"] = sizes.decode_tokens
            written["--dbo-prefill-token-threshold"] = sizes.prompt_tokens
    return written


def read_vllm(keys: Keys, reading: Reading) -> None:
    """Set the keys that options of `vllm serve` about experts stand for."""
    config = reading.mapping("--eplb-config")
    own = reading.whole("--eplb-config.num-redundant-experts", "--num-redundant-experts")
    copies = config.get("num_redundant_experts", own)
    _put_copies(keys, copies if reading.has("--enable-eplb") else None, reading)
    if reading.has("--enable-dbo"):
        keys.put("replica.overlap", "two_batch")
        decode = reading.whole("--dbo-decode-token-threshold")
        prompts = reading.whole("--dbo-prefill-token-threshold")
        if decode is not None or prompts is not None:
            keys.put(_SPLIT, {"decode_tokens": decode or 32, "prompt_tokens": prompts or 512})


def of_sglang(served: Served) -> dict[str, Any]:
    """Return the options of SGLang about experts."""
    plan = served.plan
    written: dict[str, Any] = {}
    if plan.redundant_experts:
        written["--enable-eplb"] = True
        written["--ep-num-redundant-experts"] = plan.redundant_experts
    if plan.overlap == "two_batch":
        written["--enable-two-batch-overlap"] = True
    return written


def read_sglang(keys: Keys, reading: Reading) -> None:
    """Set the keys that options of SGLang about experts stand for."""
    copies = reading.whole("--ep-num-redundant-experts")
    _put_copies(keys, copies, reading)
    if reading.has("--enable-two-batch-overlap"):
        keys.put("replica.overlap", "two_batch")


def _put_copies(keys: Keys, copies: Any, reading: Reading) -> None:
    """Set the redundant experts. Without any, experts lie in order here."""
    if type(copies) is int and copies > 0:
        keys.put("replica.redundant_experts", copies)
    elif reading.has("--enable-eplb"):
        keys.notes.append("experts without redundant ones lie in order here, not balanced by EPLB")


def of_trtllm(served: Served) -> dict[str, Any]:
    """Return the keys of TensorRT-LLM about experts."""
    experts, copies = served.deployment.model.experts, served.plan.redundant_experts
    if experts is None or not copies:
        return {}
    balancer = {"num_slots": experts.count + copies, "layer_updates_per_iter": 1}
    return {"moe_config": {"load_balancer": balancer}}


def read_trtllm(keys: Keys, config: Any, where: str) -> None:
    """Set the keys that the section `moe_config` of TensorRT-LLM stands for."""
    if not isinstance(config, Mapping):
        raise ScenarioError.at(where, f"moe_config: got {shown(config)}; expected a mapping")
    balancer = config.get("load_balancer")
    if isinstance(balancer, str):
        keys.notes.append(f"the file {balancer} is not read; there are no redundant experts here")
        return
    slots = balancer.get("num_slots") if isinstance(balancer, Mapping) else None
    known = None if keys.model is None else known_model(keys.model)
    if slots is None:
        return
    if type(slots) is not int or slots < 1:
        raise ScenarioError.at(where, f"num_slots: got {shown(slots)}; expected a whole number")
    experts = catalog_value("models", Model, known.name).experts if known is not None else None
    if experts is None:
        keys.notes.append("num_slots is not read: the number of the model's experts is not known")
    elif slots > experts.count:
        keys.put("replica.redundant_experts", slots - experts.count)
