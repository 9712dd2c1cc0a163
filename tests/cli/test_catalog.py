"""`catalog`: files to start from, and how an entry is used."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cluster_sim
from cluster_sim.schema import KINDS, catalog_entry, catalog_names, named
from tests.commands import BURST, call

pytestmark = pytest.mark.usefixtures("empty_folder")

SESSIONS = """\
name: x
duration: 10 s
model: llama-3.1-8b
workload: {sessions: {preset: coding-agent, concurrency: 2, window_tokens: 100000}}
cluster: {pools: [{name: a, node: dgx-b200, replica: {tensor_parallel: 8}}]}
"""


def printed(capsys: pytest.CaptureFixture[str], name: str) -> str:
    """The file that `catalog NAME --yaml` prints."""
    code, out, _ = call(capsys, "catalog", name, "--yaml")
    assert code == 0
    return out


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_file_of_an_entry_stands_for_the_entry(
    kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in catalog_names(kind):
        Path("mine.yaml").write_text(printed(capsys, name))
        assert named(kind, "mine.yaml") == catalog_entry(kind, name)


def test_the_file_of_an_entry_keeps_sources_and_confidences(
    capsys: pytest.CaptureFixture[str],
) -> None:
    text = printed(capsys, "b200-sxm")
    assert "bandwidth: {value: 7.672 TB/s, source:" in text
    assert "# ao4002: B200 device properties, https://github.com/pytorch/ao/pull/4002" in text
    assert "device: {like: FILE, KEY: VALUE}" in text.splitlines()[1]


def test_files_of_entries_make_the_same_scenario_as_their_names(
    capsys: pytest.CaptureFixture[str],
) -> None:
    def scenarios(text: str) -> list[Any]:
        Path("x.yaml").write_text(text)
        return [cluster_sim.load_scenario("x.yaml", variant=name) for name in ("b200", "cs3")]

    by_name, text = scenarios(BURST), BURST
    for name in ("llama-3.1-8b", "dgx-b200", "cs-3"):
        Path(f"my-{name}.yaml").write_text(printed(capsys, name))
        text = text.replace(f": {name}", f": my-{name}.yaml")
    assert text.count(".yaml") == 3
    assert scenarios(text) == by_name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (BURST.replace("  prompt_tokens: 100\n", "").replace("  output_tokens: {distribution: uniform, low: 2, high: 30}\n", "").replace("arrivals: {process: poisson, rate: 5 /s}", "preset: azure-code"), "azure-code"),
        (SESSIONS, "coding-agent"),
    ],
)  # fmt: skip
def test_the_file_of_a_workload_is_a_preset(
    text: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def loaded(text: str) -> Any:
        Path("x.yaml").write_text(text)
        variant = "b200" if "variants" in text else None
        return cluster_sim.load_scenario("x.yaml", variant=variant)

    Path("mine.yaml").write_text(printed(capsys, name))
    mine = text.replace(f"preset: {name}", "preset: mine.yaml")
    assert mine != text
    assert loaded(mine) == loaded(text)
    Path("mine.yaml").write_text(printed(capsys, name).replace("prompt_tokens", "prompt_toknes"))
    if name == "azure-code":
        with pytest.raises(cluster_sim.ScenarioError, match=r"mine\.yaml:10: unknown key"):
            loaded(mine)


def test_a_preset_file_must_have_the_section_that_is_asked_for(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("mine.yaml").write_text(printed(capsys, "coding-agent"))
    path = Path("x.yaml")
    path.write_text(
        SESSIONS.replace(
            "{sessions: {preset: coding-agent, concurrency: 2, window_tokens: 100000}}",
            "{preset: mine.yaml}",
        )
    )
    code, _, err = call(capsys, "check", path)
    assert (code, err) == (
        2,
        "x.yaml:4: workload: 'mine.yaml' is no workload preset: 'arrivals' is missing\n",
    )


@pytest.mark.parametrize(
    ("name", "use"),
    [
        ("dgx-b200", "`node: dgx-b200`, or `node: {like: dgx-b200, KEY: VALUE}`"),
        ("ndr-rail", "`network: ndr-rail`, or `network: {like: ndr-rail, KEY: VALUE}`"),
        ("coding-agent", "`workload: {sessions: {preset: coding-agent, KEY: VALUE}}`"),
        ("azure2023-code", "`cluster-sim workload fetch azure2023-code`"),
    ],
)
def test_the_last_line_says_how_to_use_an_entry(
    name: str, use: str, capsys: pytest.CaptureFixture[str]
) -> None:
    last = call(capsys, "catalog", name)[1].splitlines()[-1]
    assert last.startswith(f"To use it: {use}")
    assert last.endswith(f"`cluster-sim catalog {name} --yaml` prints its file.")
    assert "{like: llama-3.3-70b, layers: 40}" in call(capsys, "catalog")[1].splitlines()[-1]


def test_entries_that_contain_a_word_are_offered_for_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, _, err = call(capsys, "catalog", "b200")
    assert code == 2
    assert "'b200-sxm'" in err
    assert "'dgx-b200'" in err
    assert "'gb200'" not in err


def test_a_file_without_a_name_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = call(capsys, "catalog", "--yaml")
    assert (code, err) == (2, "--yaml: got no NAME; expected the name of an entry\n")


def test_check_takes_values_as_run_does(capsys: pytest.CaptureFixture[str]) -> None:
    Path("x.yaml").write_text(BURST)
    node = "cluster.pools[0].node={like: dgx-b200, device: {memory: {capacity: 9 apples}}}"
    code, _, err = call(
        capsys, "check", "x.yaml", "--variant", "b200", "--set", "seed=9", "--set", node
    )
    assert code == 2
    assert f"--set {node}: cluster.pools[0].node.device.memory.capacity: unknown unit" in err
    right = node.replace("apples", "TB")
    assert call(capsys, "check", "x.yaml", "--variant", "b200", "--set", right)[0] == 0


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("dflash-qwen3.6-27b", "No scenario can use it: Qwen3.6 27B has layers with states"),
        ("dspark-deepseek-v4-flash", "No scenario can use it: DeepSeek-V4-Flash has layers with"),
        ("mtp-qwen3.8-27b", "Its model, Qwen3.8-27B, is not in the catalog"),
        ("mtp-deepseek-r1", "Its model is deepseek-r1."),
    ],
)
def test_a_drafter_says_whether_its_model_can_use_it(
    name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _, names, _ = call(capsys, "catalog")
    drafters = next(line for line in names.splitlines() if line.startswith("drafters"))
    assert (f"{name} (its model is refused)" in drafters) is sentence.startswith("No")
    assert sentence in call(capsys, "catalog", name)[1]


def test_an_engine_says_its_releases_and_the_runs_of_its_times(
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, _ = call(capsys, "catalog", "vllm")
    assert code == 0
    assert "releases: 0.20 to 0.27" in out
    assert "times fitted on: No times of its own: all are those of vllm-0.15." in out


def test_every_release_of_an_engine_on_gpus_states_them() -> None:
    engines = {name: catalog_entry("engines", name) for name in catalog_names("engines")}
    gpus = [name for name in engines if name.startswith(("vllm", "sglang", "trtllm"))]
    assert len(gpus) > 10
    for name in gpus:
        assert engines[name]["releases"], name
        assert engines[name]["fitted_on"], name


def test_a_device_names_its_predecessor_and_its_gains(capsys: pytest.CaptureFixture[str]) -> None:
    """Rubin and GB300: 22 and 8 TB/s, 1800 and 900 GB/s, 4 and 2.5, 16.7 and 5, 35 and 15 PFLOP/s."""
    code, out, _ = call(capsys, "catalog", "rubin")
    assert code == 0
    assert (
        "those of gb300 (`cluster-sim catalog gb300`), with rates of memory x 2.75, of links x 2, "
        "of compute in bf16 x 1.6, fp8 x 3.34, fp4 x 2.33."
    ) in " ".join(out.split())
