"""Run, report, sweep and capacity give the same verdict on the same traffic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq
import pytest

import cluster_sim
from cluster_sim.analysis.offered_rate import offered_per_s
from cluster_sim.report import charts
from cluster_sim.report.verdict import verdict
from cluster_sim.results.metrics.verdict_text import missed_text
from cluster_sim.studies.best import best
from tests.commands import call
from tests.machines import TINY_MODEL
from tests.scenarios import make_pool


def file(**changes: Any) -> dict[str, Any]:
    """A scenario file with an SLO of 100 ms for the first token and 4 ms for each of the others."""
    poisson = {"process": "poisson", "rate": "10 /s"}
    lengths = {"distribution": "uniform", "low": 1, "high": 40}
    workload = {"arrivals": poisson, "prompt_tokens": 100, "output_tokens": lengths}
    keys = {
        "name": "judged",
        "seed": 5,
        "duration": "40 s",
        "model": TINY_MODEL,
        "slo": {"ttft": "100 ms", "tpot": "4 ms"},
        "cluster": {"pools": [make_pool()]},
    }
    return keys | changes | {"workload": workload | changes.get("workload", {})}


def cluster(**changes: Any) -> dict[str, Any]:
    return {"pools": [make_pool()]} | changes


CLASSES = [
    {"name": "chat", "share": 0.7, "slo": {"ttft": "75 ms"}},
    {"name": "batch", "share": 0.3, "priority": 5, "slo": {"e2el": "1 s", "percentile": 60}},
]
FILES = {
    "idle": file(workload={"arrivals": {"process": "poisson", "rate": "1 /s"}}),
    "busy": file(workload={"arrivals": {"process": "poisson", "rate": "11 /s"}}),
    "overloaded": file(workload={"arrivals": {"process": "poisson", "rate": "40 /s"}}),
    "uneven": file(workload={"arrivals": {"process": "gamma", "rate": "9 /s", "cv": 4}}),
    "bursts": file(
        workload={
            "arrivals": {
                "process": "burst",
                "rate": "2 /s",
                "bursts": [{"at": "9 s", "lasts": "1 s", "rate": "30 /s"}],
            }
        }
    ),
    "warm-up": file(warmup="20 s", slo={"e2el": "250 ms"}),
    "rejected": file(
        cluster=cluster(admission={"policy": "queue_limit", "max_waiting": 1}),
        workload={"arrivals": {"process": "poisson", "rate": "15 /s"}},
        slo={"ttft": "600 ms"},
    ),
    "unfinished": file(
        drain="1 s",
        workload={"arrivals": {"process": "poisson", "rate": "24 /s"}},
        slo={"ttft": "1 min", "e2el": "1 min"},
    ),
    "classes": file(workload={"classes": CLASSES}, slo={"e2el": "10 s"}),
    "one token": file(workload={"output_tokens": 1}, slo={"ttft": "100 ms"}),
}


class Judged(NamedTuple):
    """A verdict as one command gives it."""

    is_met: bool
    missed: str
    """What is missed, in words."""


def of_run(path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Judged, str]:
    """The verdict in summary.json, and the first line that the command prints."""
    code, out, _ = call(capsys, "run", path, "--out", folder)
    summary = json.loads((folder / "summary.json").read_text())
    assert code == 0
    return Judged(summary["slo_met"], missed_text(summary["slo_missed"])), out.splitlines()[0]


def of_sweep(path: Path, folder: Path) -> Judged:
    table = cluster_sim.sweep(path, folder, workers=0)
    (row,) = pq.read_table(folder / "sweep.parquet").to_pylist()
    ranked = best(table)
    assert (ranked.is_met, ranked.points[0].missed) == (row["slo_met"], row["slo_missed"])
    return Judged(row["slo_met"], row["slo_missed"])


def of_capacity(path: Path) -> tuple[bool, set[str]]:
    """The verdict on the cluster as it is, at the file's own rate, and the names of what it misses."""
    (option,) = cluster_sim.capacity(path, workers=0).options
    trial = next(trial for trial in option.trials if trial.nodes == 1)
    return trial.good, {name for name, margin in trial.margins.items() if margin < 0.0}


@pytest.mark.slow
@pytest.mark.parametrize("percentile", [70, 95])
def test_run_report_sweep_and_capacity_agree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], percentile: int
) -> None:
    verdicts = []
    for number, (name, keys) in enumerate(FILES.items()):
        slo = keys["slo"] | {"percentile": percentile}
        keys = keys | {"slo": slo, "sweep": {"axes": [{"cluster.pools[0].nodes": [1]}]}}
        path = tmp_path / f"{number}.yaml"
        path.write_text(json.dumps(keys))
        rate_per_s = offered_per_s(cluster_sim.load_scenario(path))
        asked = {"rate": f"{rate_per_s!r} /s", "max_nodes": 1}
        path.write_text(json.dumps(keys | {"capacity": asked}))

        run, first_line = of_run(path, tmp_path / f"run{number}", capsys)
        report = verdict(charts.views([cluster_sim.load_results(tmp_path / f"run{number}")]))[0]
        is_good, missed_names = of_capacity(path)
        assert first_line.startswith("SLO at p")
        assert first_line.endswith("met" if run.is_met else f"missed ({run.missed})"), name
        assert f"{first_line}. " in report, name
        assert of_sweep(path, tmp_path / f"sweep{number}") == run, name
        assert is_good == run.is_met, name
        assert len(missed_names) == run.missed.count(" > "), name
        verdicts.append(run.is_met)
    assert 2 <= sum(verdicts) <= 8
