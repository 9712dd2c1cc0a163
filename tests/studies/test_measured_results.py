"""Measured results beside simulations: their noise, whether they match, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pytest import approx

import cluster_sim
from cluster_sim.errors import ScenarioError
from cluster_sim.export import export
from cluster_sim.export.request_latencies import of_result, of_run
from cluster_sim.results.results import Results
from cluster_sim.studies.benchmark_comparison import beside, differences
from cluster_sim.studies.measured_noise import block_bootstrap
from cluster_sim.studies.measured_results import measured_results
from tests.commands import call

SCENARIO: dict[str, Any] = {
    "name": "server",
    "duration": "60 s",
    "model": "llama-3.1-8b",
    "workload": {
        "arrivals": {"process": "poisson", "rate": "8 /s"},
        "prompt_tokens": 400,
        "output_tokens": 40,
    },
    "cluster": {
        "pools": [
            {"name": "h100", "node": "dgx-h100", "replicas": 1, "replica": {"tensor_parallel": 1}}
        ]
    },
}


def run_of(folder: Path, seed: int) -> Results:
    path = folder / "server.yaml"
    path.write_text(json.dumps(SCENARIO))
    return cluster_sim.simulate(cluster_sim.load_scenario(path, overrides={"seed": seed}))


def result_of(folder: Path, seed: int, *, detailed: bool = True) -> Path:
    """Return a result as vLLM's client would have measured a run."""
    [path] = export(run_of(folder, seed), "vllm", folder / f"of-{seed}", detailed=detailed)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("measured")


@pytest.fixture(scope="module")
def results(folder: Path) -> list[Path]:
    return [result_of(folder, seed) for seed in (1, 2, 3)]


def test_the_bootstrap_gives_the_standard_error_of_an_autoregressive_series() -> None:
    # AR(1): the standard error of the mean is sigma / (1 - phi) / sqrt(n).
    rng, phi, count = np.random.default_rng(3), 0.5, 10_000
    noise, values = rng.normal(0.0, 1.0, count), np.zeros(count)
    for place in range(1, count):
        values[place] = phi * values[place - 1] + noise[place]
    assert block_bootstrap(values, lambda each: float(np.mean(each))) == approx(0.02, rel=0.15)


def test_latencies_in_a_result_are_those_of_the_run(folder: Path, results: list[Path]) -> None:
    measured, own = of_result(results[0]), of_run(run_of(folder, 1))
    assert measured is not None
    for kind in ("ttft", "tpot", "e2el"):
        assert measured.of(kind) == approx(own.of(kind), rel=1e-9)


def test_repeated_measurements_give_means_and_the_interval_of_students_t(
    tmp_path: Path, results: list[Path]
) -> None:
    paths = []
    for place, value in enumerate((10.0, 12.0, 14.0)):
        result = json.loads(results[0].read_text()) | {"mean_ttft_ms": value}
        paths.append(tmp_path / f"{place}.json")
        paths[-1].write_text(json.dumps(result))
    measured = measured_results(paths)
    assert measured.benchmark.values["mean_ttft_ms"] == 12.0
    # deviation 2, t of two degrees of freedom 4.303
    assert measured.noise("mean_ttft_ms", None) == approx(4.303 * 2 * (4 / 3) ** 0.5, rel=1e-3)


def test_another_seed_of_the_same_server_matches(folder: Path, results: list[Path]) -> None:
    rows = beside(measured_results(results[:1]), [run_of(folder, 9)]).rows
    matches = {row.metric: row.matches[0] for row in rows}
    assert matches["mean_ttft_ms"] is matches["p99_e2el_ms"] is True
    assert matches["output_throughput"] is None


def test_a_server_of_another_speed_does_not_match(folder: Path, results: list[Path]) -> None:
    slower = {
        key: [2 * value for value in values] if key == "ttfts" else values
        for key, values in json.loads(results[0].read_text()).items()
    }
    path = folder / "slower.json"
    path.write_text(json.dumps(slower | {"mean_ttft_ms": 2 * slower["mean_ttft_ms"]}))
    [row] = beside(measured_results([path]), [run_of(folder, 9)], ["mean_ttft_ms"]).rows
    assert row.matches == (False,)


def test_a_result_of_another_model_is_refused_and_of_an_unknown_name_is_not(
    folder: Path, results: list[Path]
) -> None:
    run, found = run_of(folder, 9), json.loads(results[0].read_text())
    path = folder / "other.json"
    path.write_text(json.dumps(found | {"model_id": "Qwen/Qwen3-32B"}))
    with pytest.raises(ScenarioError, match=r"simulates Llama 3.1 8B, and the result is one of"):
        list(differences(measured_results([path]).benchmark, [run]))
    path.write_text(json.dumps(found | {"model_id": "my-server"}))
    [text] = differences(measured_results([path]).benchmark, [run])
    assert text == "server: the result and the scenario differ: model my-server and Llama 3.1 8B"


def test_results_of_different_experiments_are_no_repeated_measurements(
    folder: Path, results: list[Path]
) -> None:
    path = folder / "faster.json"
    path.write_text(json.dumps(json.loads(results[0].read_text()) | {"request_rate": 20.0}))
    with pytest.raises(ScenarioError, match=r"another experiment than .*request rate 20 /s and 8"):
        measured_results([results[0], path])


def test_damaged_lists_of_requests_are_refused_with_the_file(
    folder: Path, results: list[Path]
) -> None:
    found = json.loads(results[0].read_text())
    path = folder / "damaged.json"
    for lists in ({"ttfts": found["ttfts"][:-1]}, {"itls": [None] * len(found["itls"])}):
        path.write_text(json.dumps(found | lists))
        with pytest.raises(ScenarioError, match=r"damaged\.json: has lists of requests"):
            measured_results([path])
    nothing = {"output_lens": [0] * len(found["ttfts"])}
    path.write_text(json.dumps(found | nothing))
    with pytest.raises(ScenarioError, match="has no request with an answer"):
        measured_results([path])


def test_the_command_says_what_matches_and_draws_both(
    folder: Path, results: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    picture = folder / "cdf.png"
    command = ("compare", folder / "server.yaml", "--measured", results[0])
    code, out, _ = call(capsys, *command, "--plot", picture)
    assert code == 0
    assert re.search(r"server: 1\d of 15 metrics are within the noise", out)
    assert picture.read_bytes().startswith(b"\x89PNG")
    bare = result_of(folder, 4, detailed=False)
    content = {key: value for key, value in json.loads(bare.read_text()).items() if key != "itls"}
    bare.write_text(json.dumps(content))
    code, out, error = call(capsys, *command[:-1], bare)
    assert code == 0
    assert "the noise of one result without single requests is unknown" in out
    code, _, error = call(capsys, *command[:-1], bare, "--plot", picture)
    assert (code, "--plot: got no result with latencies" in error) == (2, True)


def test_a_plot_without_a_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, error = call(capsys, "compare", "x.yaml", "--plot", "y.png")
    assert (code, error) == (2, "--plot: is only for --measured; add --measured or omit it\n")
