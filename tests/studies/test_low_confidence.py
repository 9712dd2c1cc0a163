"""The line on catalog figures of low confidence that an answer rests on."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cluster_sim.loading.files import load_variants
from cluster_sim.studies.figure_use import part_of
from cluster_sim.studies.low_confidence import Estimate, estimates_line, rests_on
from tests.commands import BURST, call
from tests.scenarios import make_pool, make_scenario

COMMAND = "cluster-sim sensitivity x.yaml"


def b200(**changes: Any) -> Any:
    """A scenario on a DGX B200 with vLLM at tensor parallel 8 and FP8 weights, with changes."""
    replica = {"tensor_parallel": 8, "weights": "fp8", "kv_cache": "fp8", "engine": "vllm"}
    pool = {"name": "b200", "node": "dgx-b200", "replica": replica | changes.pop("replica", {})}
    return make_scenario(
        **{"model": "llama-3.3-70b", "cluster": {"pools": [pool | changes.pop("pool", {})]}}
        | changes
    )


def test_a_figure_of_another_engine_precision_or_kind_of_layer_changes_nothing() -> None:
    def part(path: str) -> str | None:
        return part_of("devices", "b200-sxm", path, b200())

    assert part("kernels.gemm.fp8_vllm.launch") == "speed"
    assert part("kernels.gemm.fp8.launch") is None  # vLLM has its own
    assert part("kernels.gemm.fp4.launch") is None
    assert part("kernels.linear.mamba2.start") is None
    assert part("kernels.context.fp8_vllm.start") == "speed"
    assert part("overheads.vLLM 0.15.step") == "speed"
    assert part("overheads.vLLM.step") is None  # of releases before
    assert part("overheads.default.step") is None
    assert part("overheads.TensorRT-LLM.request") is None
    assert part("overheads.vLLM 0.15.expert_layer") is None  # a dense model
    assert part("overheads.vLLM 0.15.gemm.fp8") == "speed"
    assert part("overheads.vLLM 0.15.gemm.fp4") is None
    assert part("collectives.all_reduce_vllm.start") == "speed"
    assert part("collectives.all_reduce.start") is None
    assert part("power.flop.fp8") == "power"
    assert part("power.flop.fp4") is None


def test_one_device_runs_no_collective() -> None:
    alone = b200(model="llama-3.1-8b", replica={"tensor_parallel": 1})
    for path in ("collectives.all_reduce_vllm.start", "overheads.vLLM 0.15.collective"):
        assert part_of("devices", "b200-sxm", path, alone) is None


def test_heat_counts_only_where_the_inlet_is_known() -> None:
    for kind, entry, path in (
        ("devices", "b200-sxm", "governor.floor"),
        ("devices", "b200-sxm", "limits.slowdown"),
        ("nodes", "dgx-b200", "cooling.die_to_sink"),
    ):
        assert part_of(kind, entry, path, b200()) is None
        assert part_of(kind, entry, path, b200(site={"inlet": "25 degC"})) == "heat"


def test_links_count_only_where_more_than_tokens_moves() -> None:
    swapping = b200(pool={"kv": {"preemption": "swap"}})
    for kind, entry in (("nodes", "dgx-b200"), ("links", "ndr-rail")):
        assert part_of(kind, entry, "links[0].latency", b200()) is None
        assert part_of(kind, entry, "links[0].latency", swapping) == "speed"


def test_a_limit_of_the_engine_counts_unless_the_pool_has_its_own() -> None:
    own = b200(pool={"batching": {"max_sequences": 8}, "kv": {"memory_fraction": 0.8}})
    for path in ("max_sequences", "memory_fraction"):
        assert part_of("engines", "vllm", path, b200()) == "speed"
        assert part_of("engines", "vllm", path, own) is None
    assert part_of("engines", "vllm", "max_batched_tokens", own) == "speed"


def test_figures_of_graphs_and_reserves_count_in_the_modes_that_use_them() -> None:
    sizes = {
        "graph_sizes": {"sizes": [1, 2, 4]},
        "static_reserve": {"fixed": "20 GB"},
        "memory_fraction": None,
    }
    pieces = b200(replica={"engine": {"like": "vllm", "graph_mode": "piecewise", **sizes}})
    whole = b200(replica={"engine": {"like": "vllm", "graph_mode": "full_decode_only"}})
    for path, plain, used in (("piece", None, "speed"), ("eager_layer", "speed", "speed")):
        assert part_of("devices", "b200-sxm", f"overheads.vLLM 0.15.{path}", whole) == plain
        assert part_of("devices", "b200-sxm", f"overheads.vLLM 0.15.{path}", pieces) == used
    assert part_of("engines", "vllm", "memory_fraction", b200()) == "speed"
    for path in ("graph_batches", "memory_fraction"):
        assert part_of("engines", "vllm", path, pieces) is None


def test_a_time_that_the_engine_has_itself_replaces_that_of_the_device() -> None:
    own = b200(replica={"engine": {"like": "vllm", "step": "2 ms"}})
    key = own.cluster.pools[0].node.device.overhead_name(own.cluster.pools[0].engine.profile)
    for path, plain, replaced in (("step", "speed", None), ("layer", "speed", "speed")):
        assert part_of("devices", "b200-sxm", f"overheads.{key}.{path}", b200()) == plain
        assert part_of("devices", "b200-sxm", f"overheads.{key}.{path}", own) == replaced
    assert part_of("engines", "vllm", "step", own) == "speed"
    assert part_of("engines", "vllm", "expert_layer", own) is None  # a dense model


def test_limits_by_device_count_unless_the_file_gives_them_all() -> None:
    """A B200 takes its limits from a row of vLLM's profile, which also gives no largest graph."""
    limits = {"max_sequences": 64, "max_batched_tokens": 4096}
    for engine, part in (("vllm", "speed"), ({"like": "vllm", **limits}, None)):
        assert part_of("engines", "vllm", "by_device", b200(replica={"engine": engine})) == part
    some = b200(replica={"engine": {"like": "vllm", "max_sequences": 64}})
    assert part_of("engines", "vllm", "by_device", some) == "speed"
    assert part_of("engines", "vllm", "by_device", b200(pool={"batching": limits})) is None


def test_host_times_of_drafts_count_only_with_drafts() -> None:
    drafts = {"draft_tokens": 2, "acceptance": 0.6, "draft_cost": 0.1}
    for speculation, part in ((None, None), (drafts, "speed")):
        scenario = b200(replica={"engine": "sglang", "speculation": speculation})
        assert part_of("engines", "sglang", "draft_step", scenario) == part


def test_the_line_names_five_the_first_of_each_part_of_the_answer_before_the_second() -> None:
    estimates = [
        Estimate("speed", "gpu", "overheads.vLLM.step", "1 us"),
        Estimate("speed", "gpu", "efficiency.compute.fp8", "0.5"),
        Estimate("speed", "gpu", "efficiency.kv_bandwidth", "0.7"),
        Estimate("power", "gpu", "power.idle", "90 W"),
        Estimate("price", "offer", "residual", "0 to 0.4"),
        Estimate("price", "offer", "support", "0 to 0.1"),
        Estimate("price", "offer", "purchase", "2 to 3 million USD"),
        Estimate("heat", "node", "cooling.die", "90 J/K"),
    ]
    assert estimates_line(estimates, COMMAND) == (
        "rests on 8 estimates of low confidence: gpu efficiency (2 figures), "
        "offer purchase (2 to 3 million USD), gpu power.idle (90 W), node cooling.die (90 J/K), "
        f"gpu overheads.vLLM.step (1 us) and 2 more; {COMMAND} shows what they change"
    )
    assert estimates_line([], COMMAND) is None


def test_what_a_scenario_sets_itself_is_no_estimate_of_the_catalog(tmp_path: Path) -> None:
    plain = {"name": "b200", "node": "dgx-b200", "replica": {"tensor_parallel": 8}}
    rented = plain | {"prices": "h100-rented"}
    like = {"like": "dgx-b200", "power": {"base": "1 kW"}}
    lines = []
    for number, pool in enumerate((plain, rented, plain | {"node": like})):
        path = tmp_path / f"{number}.json"
        keys = {
            "name": "x", "duration": "1 s", "model": "llama-3.1-8b", "cluster": {"pools": [pool]},
            "workload": {"arrivals": {"process": "poisson", "rate": "1 /s"}, "prompt_tokens": 9, "output_tokens": 9},
        }  # fmt: skip
        path.write_text(json.dumps(keys))
        lines.append(rests_on(path, (), load_variants(path)))
    assert lines[0] is not None and "dgx-b200-owned" in lines[0]
    assert lines[1] is not None and "dgx-b200-owned" not in lines[1]
    assert lines[2] is not None and "dgx-b200-owned" in lines[2]
    assert "power.base (2300 W)" in lines[0] and "power.base" not in lines[2]


def test_a_machine_of_the_files_own_rests_on_no_estimate(tmp_path: Path) -> None:
    pool = make_pool(replica={})  # without an engine of its own
    keys = {
        "name": "x", "duration": "1 s", "model": "llama-3.1-8b",
        "cluster": {"pools": [pool | {"node": pool["node"] | {"devices": 8}}]},
        "workload": {"arrivals": {"process": "poisson", "rate": "1 /s"}, "prompt_tokens": 9, "output_tokens": 9},
    }  # fmt: skip
    path = tmp_path / "x.json"
    path.write_text(json.dumps(keys))
    scenario = make_scenario()
    assert rests_on(path, (), [scenario]) is None


@pytest.mark.slow
def test_run_compare_and_capacity_print_the_line_once_for_all_variants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "small.yaml"
    path.write_text(BURST + "capacity: {rate: 5 /s, replications: 1}\n")
    (line,) = re.findall("^rests on .*$", call(capsys, "run", path)[1], re.MULTILINE)
    assert "wse-3 wafer (" in line
    assert line.endswith(f"cluster-sim sensitivity {path} --variant NAME shows what they change")
    code, out, err = call(capsys, "run", path, "--json")
    assert code == 0 and set(json.loads(out)["variants"]) == {"b200", "cs3"}
    assert "rests on" not in err
    code, out, err = call(capsys, "compare", path, "--replications", 2, "--workers", 0)
    assert code == 0, err
    assert re.findall("^rests on .*$", out, re.MULTILINE) == [line]
    code, out, err = call(capsys, "capacity", path, "--workers", 0)
    assert code == 0, err
    assert re.findall("^rests on .*$", out, re.MULTILINE) == [line]


def test_constants_that_were_taken_over_are_named_first(tmp_path: Path) -> None:
    pool = {"name": "a", "node": "rubin-nvl72", "replicas": 1, "replica": {"tensor_parallel": 8}}
    text = f"""\
name: x
model: llama-3.1-8b
duration: 1 s
workload:
  arrivals: {{process: poisson, rate: 1 /s}}
  prompt_tokens: {{distribution: fixed, tokens: 100}}
  output_tokens: {{distribution: fixed, tokens: 10}}
cluster: {{pools: [{json.dumps(pool)}]}}
"""
    (tmp_path / "x.yaml").write_text(text)
    scenarios = load_variants(tmp_path / "x.yaml")
    line = rests_on(tmp_path / "x.yaml", [], scenarios)
    assert line is not None
    assert "low confidence: rubin predecessor (gb300), " in line
