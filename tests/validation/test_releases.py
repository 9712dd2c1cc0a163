"""Engines in tables of measurements have a release and a profile."""

from __future__ import annotations

import csv

import pytest

from cluster_sim.schema import CATALOG, catalog_names
from cluster_sim.validation import release_of


@pytest.mark.parametrize(
    ("framework", "date", "dataset", "name", "profile"),
    [
        ("vllm 0.15.1", "2026-02-04", "inferencemax_silicon", "vllm 0.15", "vllm-0.15"),
        ("vLLM v0.9.2", "", "", "vllm 0.9", "vllm-0.10"),
        ("vllm (vllm/vllm-openai:v0.22.0)", "2026-06", "", "vllm 0.22", "vllm-0.22"),
        ("vllm nightly-5b8c30d6", "2026-04-17", "", "vllm of 2026-04", "vllm-0.15"),
        ("vllm (2024)", "2024", "", "vllm of 2024", "vllm-0.10"),
        ("vllm", "", "", "vllm", "vllm-0.15"),
        ("mori-sglang 0.5.12.post1", "2026-06", "", "sglang 0.5", "sglang-0.5"),
        ("trtllm 1.2.0rc6.post2", "2026-02", "", "trtllm 1.2", "trtllm-1.2"),
        ("TensorRT-LLM 0.20 (PyTorch backend)", "2025-06", "", "trtllm 0.20", "trtllm-1.0"),
        # versions of other packages
        (
            "TensorRT 10.11, CUDA 12.9",
            "2025-09",
            "mlperf_v5_1",
            "trtllm of 2025-09",
            "trtllm-2025-08",
        ),
        (
            "dynamo-trt (dynamo runtime 0.8.1.post2)",
            "2026-01",
            "",
            "trtllm of 2026-01",
            "trtllm-1.0",
        ),
        ("TensorRT-LLM", "2025-05", "b200_lowlatency", "trtllm of 2025-05", "trtllm-2025-05"),
        ("Cerebras Inference API", "2024-08", "", "cerebras of 2024-08", "cerebras-2024-08"),
        ("Cerebras Inference API", "2024-10", "", "cerebras of 2024-10", "cerebras"),
    ],
)
def test_versions_and_dates_give_release_and_profile(
    framework: str, date: str, dataset: str, name: str, profile: str
) -> None:
    release = release_of(framework, date, dataset)
    assert release is not None
    assert (release.name, release.profile) == (name, profile)


def test_an_engine_that_no_line_names_has_no_profile() -> None:
    assert release_of("atom 0.1.1", "2026-05-11") is None
    on_amd = release_of("atom 0.1.1", "2026-05-11", "inferencex_api", "MI355X")
    assert on_amd is not None
    assert (on_amd.name, on_amd.profile) == ("atom 0.1", "atom")


def test_every_line_of_the_table_names_a_profile_of_the_catalog() -> None:
    with (CATALOG / "engine_releases.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["profile"] for line in lines} <= set(catalog_names("engines"))
    assert all(line["note"] and line["ttft"] in ("yes", "p50", "no") for line in lines)


@pytest.mark.parametrize(
    ("lowest", "above", "inside"),
    [("0.10", "", {"0.10.2", "0.22"}), ("", "0.10", {"0.9.2"}), ("0.10", "0.22", {"0.10.2"})],
)
def test_bounds_of_releases_compare_numbers_and_a_run_without_a_release_is_outside(
    lowest: str, above: str, inside: set[str]
) -> None:
    from cluster_sim.validation.releases import _Line  # the catalog has no bounds yet

    line = _Line("vllm", "", lowest, above, "", "", "vllm", "yes", "", "")
    versions = ("0.9.2", "0.10.2", "0.22", "nightly")
    assert {v for v in versions if line.matches(f"vllm {v}", "", "")} == inside


@pytest.mark.parametrize(
    ("hardware", "date", "profile", "has_late_start"),
    [
        ("MI355X", "2025-12-12", "sglang-2025-09", True),
        ("MI355X", "2026-01-05", "sglang-0.5", True),
        ("MI300X", "2026-01-05", "sglang-2025-09", True),
        ("B200", "2025-12-12", "sglang-0.5", False),
    ],
)
def test_images_for_amd_have_releases_of_their_own_and_start_late(
    hardware: str, date: str, profile: str, has_late_start: bool
) -> None:
    release = release_of("sglang", date, "inferencex_api", hardware)
    assert release is not None
    assert (release.profile, release.has_late_start) == (profile, has_late_start)
    assert release.has_ttft
