"""Engines are held against their devices: what runs nowhere, rests on defaults, or has no memory."""

from __future__ import annotations

from typing import Any

import pytest

from cluster_sim.loading.checks.scenario import faults_of
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema import Document, describe

WORKLOAD = {
    "arrivals": {"process": "poisson", "rate": "2 /s"},
    "prompt_tokens": 100,
    "output_tokens": 20,
}


def scenario(*pools: dict[str, Any]) -> Scenario:
    keys: dict[str, Any] = {
        "name": "small",
        "duration": "10 s",
        "model": "llama-3.1-8b",
        "workload": WORKLOAD,
        "cluster": {"pools": list(pools)},
    }
    return describe(Scenario, Document(keys, "test"))


def pool(node: str, engine: Any, name: str = "a", **replica: Any) -> dict[str, Any]:
    return {"name": name, "node": node, "replica": {"engine": engine} | replica}


def faults(node: str, engine: Any, **replica: Any) -> dict[str, str]:
    found = faults_of(scenario(pool(node, engine, **replica)))
    return {".".join(map(str, trail[3:])): text for trail, text in found}


@pytest.mark.parametrize(
    ("node", "engine", "text"),
    [
        ("dgx-h200", "cerebras", "got Cerebras, which runs on wafers; NVIDIA H200 SXM is not"),
    ],
)
def test_an_engine_of_wafers_is_refused_on_gpus(node: str, engine: str, text: str) -> None:
    assert faults(node, engine)["replica.engine"].startswith(text)


def test_an_engine_of_gpus_on_wafers_is_warned_of() -> None:
    """vLLM is the default engine, so older files have it on wafers."""
    assert not faults("cs-3", "vllm", wafers=1)
    (text,) = (
        text for text in scenario(pool("cs-3", "vllm", wafers=1)).warnings() if "GPUs" in text
    )
    assert text.startswith("Cerebras WSE-3: got vLLM 0.22, which runs on GPUs; its limits hold")
    assert not any(
        "GPUs" in text for text in scenario(pool("cs-3", "cerebras", wafers=1)).warnings()
    )


def test_a_run_warns_once_of_an_engine_that_a_device_has_no_times_of() -> None:
    def warned(engine: str) -> list[str]:
        return [
            text for text in scenario(pool("mi300x-8", engine)).warnings() if "times of" in text
        ]

    assert warned("trtllm") == [
        "AMD MI300X: no times of TensorRT-LLM 1.2 are known; the times of `default` hold. The device has times of SGLang and vLLM"
    ]
    assert warned("vllm") == []


def test_a_run_warns_of_cache_between_engines_of_different_makers() -> None:
    def warned(receiver: str) -> list[str]:
        made = scenario(
            pool("dgx-h200", "vllm", role="prefill"),
            pool("dgx-h200", receiver, "b", role="decode"),
        )
        return [text for text in made.warnings() if text.startswith("KV transfer")]

    assert warned("sglang") == [
        "KV transfer from vLLM to SGLang; no engine is known to take the KV cache of another one"
    ]
    assert warned("vllm-0.15") == []


@pytest.mark.parametrize(
    ("keys", "key", "inherited"),
    [
        ({"static_reserve": {"at_least": "10 GB"}}, "static_reserve", "memory_fraction"),
        ({"prefill_first": {}}, "prefill_first", "capacity_scheduler_policy"),
    ],
)
def test_rules_beside_an_inherited_value_that_they_replace_are_refused(
    keys: dict[str, Any], key: str, inherited: str
) -> None:
    found = faults("dgx-h200", {"like": "vllm-0.22", **keys})
    assert list(found) == [f"replica.engine.{key}"]
    assert f"expected `{inherited}: null`" in found[f"replica.engine.{key}"]
    assert faults("dgx-h200", {"like": "vllm-0.22", **keys, inherited: None}) == {}


@pytest.mark.parametrize(
    ("keys", "key", "texts"),
    [
        (
            {"memory_fraction": 0.1},
            "memory_fraction",
            ("of each device of 150.8 GB it is 15.1 GB", "weights take 16.1 GB"),
        ),
        (
            {"reserved": "200 GB"},
            "reserved",
            ("got 200.0 GB", "138.7 GB of each device of 150.8 GB", "expected at most 12"),
        ),
    ],
)
def test_a_setting_that_leaves_no_cache_is_named_with_its_sums(
    keys: dict[str, Any], key: str, texts: tuple[str, ...]
) -> None:
    found = faults("dgx-h200", {"like": "vllm-0.22", **keys})
    assert list(found) == [f"replica.engine.{key}"]
    for text in texts:
        assert text in found[f"replica.engine.{key}"]


def test_the_least_memory_fraction_of_a_message_holds_some_cache() -> None:
    (text,) = faults("dgx-h200", {"like": "vllm-0.22", "memory_fraction": 0.1}).values()
    least = float(text.split("expected at least ")[1].split(",")[0])
    assert 0.107 < least < 0.14
    enough = faults("dgx-h200", {"like": "vllm-0.22", "memory_fraction": least + 0.001})
    assert "leaves no KV cache" not in " ".join(enough.values())


def test_a_row_for_a_device_that_does_not_exist_is_refused() -> None:
    rows = [{"devices": ["h200"], "max_sequences": 64}]
    found = faults(
        "dgx-h200",
        {
            "like": "vllm-0.22",
            "by_device": [*rows, {"max_sequences": 32, "max_batched_tokens": 8192}],
        },
    )
    assert found == {
        "replica.engine.by_device.0.devices": "no name of a device has 'h200'; did you mean 'H200'?"
    }
