"""Workloads of the catalog: as bursty and as long as the traces that they were fitted to, or they
say by how much not.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError
from pytest import approx

from cluster_sim.scenario.workload import Workload
from cluster_sim.schema import catalog_entry
from cluster_sim.workload.arrivals import ClosedLoop
from cluster_sim.workload.generate import length_pieces
from cluster_sim.workload.presets import Preset, workload_presets
from cluster_sim.workload.random_streams import stream
from cluster_sim.workload.statistics import dispersion, gap_cv, peak_to_mean

SEEDS = 60
WINDOWS = {"1s": 1.0, "10s": 10.0, "60s": 60.0}
QUANTILES = {"p10": 10, "p50": 50, "p90": 90, "p99": 99}


def preset(name: str) -> Preset:
    return Preset.model_validate(catalog_entry("workloads", name))


def statistics_of(one: Preset, seed: int) -> dict[str, float | None]:
    """One seed over the trace's length of time."""
    assert (
        one.lasts_s is not None
        and one.arrivals is not None
        and not isinstance(one.arrivals, ClosedLoop)
    )
    assert one.prompt_tokens is not None and one.output_tokens is not None
    pieces = []
    for piece in one.arrivals.pieces(stream(seed, "arrivals")):
        pieces.append(piece)
        if piece[-1] >= one.lasts_s:
            break
    times_s = np.concatenate(pieces)
    times_s = times_s[times_s < one.lasts_s]
    drawn = islice(
        length_pieces(one.prompt_tokens, one.output_tokens, seed, one.length_correlation),
        len(times_s) // 4096 + 1,
    )
    prompt, output = (np.concatenate(column)[: len(times_s)] for column in zip(*drawn, strict=True))
    return (
        {"cv": gap_cv(times_s)}
        | {
            f"dispersion_{label}": dispersion(times_s, window_s)
            for label, window_s in WINDOWS.items()
        }
        | {
            f"peak_to_mean_{label}": peak_to_mean(times_s, window_s)
            for label, window_s in WINDOWS.items()
        }
        | {f"prompt_{label}": float(np.percentile(prompt, q)) for label, q in QUANTILES.items()}
        | {f"output_{label}": float(np.percentile(output, q)) for label, q in QUANTILES.items()}
    )


def test_every_preset_that_was_promised_is_there() -> None:
    assert set(workload_presets()) == {
        "azure-code",
        "azure-conversation",
        "mooncake",
        "burstgpt",
        "servegen-reasoning",
        "servegen-multimodal",
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", workload_presets())
def test_a_preset_brackets_the_statistics_of_its_trace_or_says_which_it_misses(name: str) -> None:
    one = preset(name)
    assert {
        "cv",
        *(f"{kind}_{label}" for kind in ("dispersion", "peak_to_mean") for label in WINDOWS),
    } <= set(one.matches)
    seeds = [statistics_of(one, seed) for seed in range(SEEDS)]
    for key, match in one.matches.items():
        p5, p95 = np.percentile([seed[key] for seed in seeds], [5, 95])  # type: ignore[misc,arg-type]
        assert (match.p5, match.p95) == approx((p5, p95), rel=2e-3), key
        assert match.holds or key in one.misses, key
    assert all(not one.matches[key].holds for key in one.misses)


def test_a_preset_fills_in_what_a_workload_leaves_out() -> None:
    workload = Workload.model_validate({"preset": "azure-code", "output_tokens": 200})
    assert workload.arrivals is not None and workload.arrivals.process == "on_off"
    assert workload.output_tokens is not None and workload.output_tokens.mean() == 200
    assert workload.prompt_tokens is not None and workload.prompt_tokens.longest == 7437
    assert workload.length_correlation == approx(-0.02)


def test_single_keys_of_a_presets_arrivals_may_be_changed() -> None:
    arrivals: Any = Workload.model_validate(
        {"preset": "servegen-reasoning", "arrivals": {"rate": "3 /s"}}
    ).arrivals
    assert arrivals.process == "clients"
    assert arrivals.rate_per_s == 3.0
    assert len(arrivals.clients) == 3
    other: Any = Workload.model_validate(
        {"preset": "servegen-reasoning", "arrivals": {"process": "poisson", "rate": "3 /s"}}
    ).arrivals
    assert other.process == "poisson"


def test_a_preset_that_is_none_is_refused() -> None:
    with pytest.raises(
        ValidationError, match="no workload preset 'azure'; did you mean 'azure-code'"
    ):
        Workload.model_validate({"preset": "azure"})
    with pytest.raises(ValidationError, match="no workload preset 'coding-agent'"):
        Workload.model_validate({"preset": "coding-agent"})


def test_what_a_preset_brought_is_written_out(tmp_path: Path) -> None:
    written = Workload.model_validate({"preset": "burstgpt"}).model_dump(
        mode="json", by_alias=True, exclude_none=True
    )
    assert "preset" not in written
    assert Workload.model_validate(written) == Workload.model_validate({"preset": "burstgpt"})
