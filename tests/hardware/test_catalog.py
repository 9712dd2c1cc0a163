"""The catalog: every file is a valid description, every figure says where it comes from, and models
have their published sizes.
"""

from __future__ import annotations

import re

import pytest
from pytest import approx

from cluster_sim.economics.prices import Committed, Owned, Rented
from cluster_sim.economics.token_prices import TokenPrices
from cluster_sim.facility import Weather
from cluster_sim.hardware.device import Device
from cluster_sim.hardware.network import NetworkSpec
from cluster_sim.hardware.node import Node
from cluster_sim.llm.model import Model
from cluster_sim.reliability import Failures
from cluster_sim.schema import (
    CATALOG,
    Description,
    Figure,
    catalog_entry,
    catalog_names,
    figures,
    read_yaml,
    second_names,
)
from cluster_sim.serving.drafter import Drafter
from cluster_sim.serving.engine import Engine
from cluster_sim.workload.presets import Preset
from cluster_sim.workload.traces.public import PublicTrace

KINDS: dict[str, type[Description]] = {
    "devices": Device,
    "nodes": Node,
    "prices": Owned,
    "links": NetworkSpec,
    "models": Model,
    "token_prices": TokenPrices,
    "engines": Engine,
    "drafters": Drafter,
    "workloads": Preset,
    "traces": PublicTrace,
    "failures": Failures,
    "weather": Weather,
}
FILES = [(kind, name) for kind in KINDS for name in catalog_names(kind)]
SOURCES = read_yaml(CATALOG / "sources.yaml").data

# Keys whose values are quantities, and the units that they may be written in.
UNITS = {
    "capacity": "GB",
    "reserved": "GB|B",
    "reserved_group": "GB|B",
    "reserved_activation": "GB",
    "graph_memory.first": "GiB|GB",
    "graph_memory.further": "MiB",
    "logit": "B",
    "bandwidth": "GB/s|TB/s|PB/s",
    "peer_bandwidth": "GB/s",
    "link_bandwidth": "GB/s|TB/s",
    "copy_bandwidth": "GB/s|TB/s",
    "latency": "us|ns",
    "peer_latency": "us|ns",
    "request": "ms",
    "step": "us",
    "sequence": "us|ns|ps",
    "layer": "us",
    "expert_layer": "us",
    "latent_layer": "us",
    "eager_layer": "us",
    "eager_split_layer": "us",
    "draft_step": "ms",
    "draft_sequence": "us",
    "clock": "GHz|MHz",
    "core": "us",
    "token": "us|ns|ps|s",
    "wafer_hop": "us",
    "limit": "W|kW",
    "idle": "W|kW",
    "loaded_idle": "W|kW",
    "busy": "W|kW",
    "active": "W",
    "memory_idle": "W",
    "memory_part": "pJ/B",
    "base": "W",
    "fans": "W",
    "pumps": "W",
    "year_swing": "K",
    "day_swing": "K",
    "summer_spread": "K",
    "winter_spread": "K",
    "dew_depression": "K",
    "most": "W",
    "inlet_rating.least": "degC",
    "inlet_rating.most": "degC",
    "limits.operating": "degC",
    "limits.slowdown": "degC",
    "limits.shutdown": "degC",
    "limits.memory": "degC",
    "power.memory": "pJ/B",
    "cooling.memory": "J/K",
    "governor.step": "MHz",
    "flop.bf16": "pJ/FLOP",
    "flop.fp8": "pJ/FLOP",
    "flop.fp4": "pJ/FLOP",
    "flop.attention": "pJ/FLOP",
    "double": "degC",
    "quadruple": "degC",
    "floor": "GHz",
    "power_sample_period": "ms",
    "power_window": "ms",
    "thermal_period": "ms",
    "thermal_response": "s",
    "slowdown_period": "ms",
    "hysteresis": "K",
    "slowdown_hold": "s",
    "die_to_sink": "K/W",
    "memory_to_sink": "K/W",
    "die_to_memory": "K/W",
    "sink_to_coolant": "K/W",
    "coolant_rise": "K/W",
    "preheat": "K/W",
    "die": "J/K",
    "sink": "J/K",
    "coolant_lag": "s",
    "rank": "us|ns|ps",
    "climb": "us|ns",
    "purchase": "USD",
    "life": "year",
    "rated": "W|kW",
    "facility": "USD/W",
    "facility_life": "year",
    "electricity": "USD/kWh",
    "licences": "USD/year",
    "porting": "USD",
    "staffing": "USD/year",
    "failures": "/year",
    "repair": "d",
    "mtbf": "h",
    "repair.mean": "h",
    "classes[0].median": "h",
    "rental": "USD/h",
    "amount": "USD",
    "term": "year",
    "input": "USD/Mtok",
    "cached_input": "USD/Mtok",
    "output": "USD/Mtok",
}

GIB = 2**30


def made(kind: str, name: str) -> Description:
    entry = catalog_entry(kind, name)
    if kind == "prices":
        return {"owned": Owned, "rented": Rented, "committed": Committed}[
            entry["basis"]
        ].model_validate(entry)
    return KINDS[kind].model_validate(entry)


def model(name: str) -> Model:
    return Model.model_validate(catalog_entry("models", name))


def figures_of(kind: str, name: str) -> list[Figure]:
    return list(figures(read_yaml(CATALOG / kind / f"{name}.yaml").data))


def unit_of(path: str) -> str | None:
    """The units wanted at a path; shares such as efficiency.kv_bandwidth have none."""
    if path.startswith("peak."):
        return "PFLOP/s|TFLOP/s"
    if path.startswith("efficiency."):
        return None
    return UNITS.get(".".join(path.split(".")[-2:]), UNITS.get(path.rpartition(".")[2]))


def test_the_catalog_holds_all_kinds():
    assert {kind for kind, _ in FILES} == set(KINDS)


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_every_file_is_a_valid_description(kind: str, name: str):
    assert made(kind, name).name  # type: ignore[attr-defined]  # all kinds have a name


@pytest.mark.parametrize("kind", KINDS)
def test_second_names_are_the_files_with_the_key_like_alone(kind: str):
    files = {name: read_yaml(CATALOG / kind / f"{name}.yaml").data for name in catalog_names(kind)}
    alone = {name: data["like"] for name, data in files.items() if set(data) == {"like"}}
    assert second_names(kind) == alone
    assert set(alone.values()) <= set(files)


@pytest.mark.parametrize(("kind", "name"), FILES)
def test_every_file_begins_with_a_sentence_about_it(kind: str, name: str):
    first = (CATALOG / kind / f"{name}.yaml").read_text(encoding="utf-8").splitlines()[0]
    assert first.startswith("# ") and first.endswith(".")


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), FILES)
def test_every_figure_has_a_source_and_a_confidence(kind: str, name: str):
    for figure in figures_of(kind, name):
        keys = [key.strip() for key in figure.source.split(",")]
        assert all(key in SOURCES for key in keys), f"{figure.path}: source '{figure.source}'"
        assert figure.confidence in ("high", "medium", "low"), (
            f"{figure.path}: confidence '{figure.confidence}'"
        )


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), FILES)
def test_every_quantity_is_written_with_its_unit(kind: str, name: str):
    for figure in figures_of(kind, name):
        if (unit := unit_of(figure.path)) is not None:
            assert re.fullmatch(rf"[\d.]+ ({unit})", figure.value), (
                f"{figure.path}: '{figure.value}'"
            )


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (kind, name)
        for kind, name in FILES
        if kind in ("devices", "nodes", "prices", "token_prices", "engines")
    ],
)
def test_an_estimate_gives_its_reasoning_and_is_never_called_certain(kind: str, name: str):
    for figure in figures_of(kind, name):
        if figure.source == "est":
            assert figure.confidence != "high", figure.path
            assert figure.note, figure.path


@pytest.mark.parametrize("name", catalog_names("prices"))
def test_every_price_says_between_what_it_may_lie_and_of_which_year_it_is(name: str):
    found = {figure.path: figure for figure in figures_of("prices", name)}
    year = found.pop("year").value
    assert re.fullmatch(r"20\d\d", year)
    month = found.pop("month", None)  # rents and contracts change by the month
    assert (month is not None) == (found["basis"].value != "owned")
    certain = {
        "basis",
        "rated",
        "porting_nodes",
        "power",
    }  # what is on a plate, in a contract, or chosen
    assert all(figure.range is not None for path, figure in found.items() if path not in certain)


@pytest.mark.parametrize("name", catalog_names("token_prices"))
def test_cached_input_is_never_dearer_than_input_and_output_never_cheaper(name: str):
    """Sellers of every model do so."""
    prices = TokenPrices.model_validate(catalog_entry("token_prices", name))
    dearest = prices.input_usd_per_mtok
    assert 0 < dearest.value <= prices.output_usd_per_mtok.value
    if (cached := prices.cached_input_usd_per_mtok) is not None:
        assert 0 < cached.value < dearest.value


def test_every_model_whose_tokens_have_prices_names_them():
    """Prices of one seller are for variants of a scenario."""
    named = {
        str(entry["token_prices"])
        for name in catalog_names("models")
        if "token_prices" in (entry := catalog_entry("models", name))
    }
    others = set(catalog_names("token_prices")) - named
    assert others == {"gpt-oss-120b-cerebras-api", "llama-3.3-70b-cerebras-api"}


@pytest.mark.slow
def test_every_source_is_used_and_is_one_line():
    used = {
        key.strip()
        for kind, name in FILES
        for figure in figures_of(kind, name)
        for key in figure.source.split(",")
    }
    assert set(SOURCES) == used
    assert all(
        isinstance(citation, str) and citation.strip() and "\n" not in citation
        for citation in SOURCES.values()
    )


# Billions of weights; the names and papers round them: 8B, 70B, 405B, 70B, 46.7B, 235B, 116.8B
# (gpt-oss model card), 671B.
@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3.1-8b", 8.03),
        ("llama-3.3-70b", 70.55),
        ("llama-3.1-405b", 405.85),
        ("llama-2-70b", 68.98),
        ("mixtral-8x7b", 46.70),
        ("qwen3-235b", 235.09),
        ("gpt-oss-120b", 116.8),
        ("deepseek-r1", 671.03),
    ],
)
def test_a_model_has_its_published_number_of_weights(name: str, billions: float):
    assert model(name).total_parameters / 1e9 == approx(billions, rel=0.002)


# Without the embedding, which is a look-up; published as 12.9B (Mixtral), 22B (Qwen3), 5.1B
# (gpt-oss) and 37B (DeepSeek-R1).
@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("llama-3.1-8b", 7.50),
        ("llama-3.3-70b", 69.50),
        ("llama-3.1-405b", 403.75),
        ("mixtral-8x7b", 12.75),
        ("qwen3-235b", 21.57),
        ("gpt-oss-120b", 5.13),
        ("deepseek-r1", 36.62),
    ],
)
def test_a_token_meets_the_published_number_of_weights(name: str, billions: float):
    assert model(name).active_parameters / 1e9 == approx(billions, rel=0.01)


def test_llama_70b_in_fp4_takes_the_memory_that_vllm_prints():
    assert model("llama-3.3-70b").weight_bytes("fp4") / GIB == approx(39.9, rel=0.01)


# vLLM 0.15.0 at 0.90 of a B200's memory; fp8 cache: 2 x 8 heads x 128 x 80 layers = 163,840 B a
# token.
@pytest.mark.parametrize(("devices", "tokens"), [(1, 782_176), (2, 1_819_408)])
def test_the_reserves_of_vllm_leave_the_room_for_kv_cache_that_it_prints(devices: int, tokens: int):
    engine = Engine.model_validate(catalog_entry("engines", "vllm-0.15"))
    capacity_bytes = Device.model_validate(
        catalog_entry("devices", "b200-sxm")
    ).memory.capacity_bytes
    reserved_bytes = engine.reserved_bytes + (engine.reserved_group_bytes if devices > 1 else 0.0)
    weight_bytes = model("llama-3.3-70b").weight_bytes("fp4")
    room_bytes = devices * (engine.memory_fraction * capacity_bytes - reserved_bytes) - weight_bytes
    assert room_bytes / 163_840 == approx(tokens, rel=0.01)


# Cerebras: 8B runs on one CS-3, 70B in 16 bit on four.
@pytest.mark.parametrize(("name", "wafers"), [("llama-3.1-8b", 1), ("llama-3.3-70b", 4)])
def test_a_model_takes_the_published_number_of_wafers(name: str, wafers: int):
    device = Device.model_validate(catalog_entry("devices", "wse-3"))
    assert device.wafer is not None
    room_bytes = device.wafer.weight_fill * device.memory.capacity_bytes
    assert -(-model(name).weight_bytes("bf16") // room_bytes) == wafers


def test_the_wafer_s_dense_peak_is_what_its_cores_multiply():
    peak = Device.model_validate(catalog_entry("devices", "wse-3")).peak
    assert peak.bf16_flop_per_s == approx(900_000 * 8 * 2 * 1.08e9, rel=0.01)


def test_the_bandwidth_of_a_b200_is_bus_width_times_transfer_rate():
    memory = Device.model_validate(catalog_entry("devices", "b200-sxm")).memory
    assert memory.bandwidth_bytes_per_s == approx(7680 / 8 * 2 * 3996e6, rel=0.001)
