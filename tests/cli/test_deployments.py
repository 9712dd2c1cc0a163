"""`export --emit` and `init --from` of what it printed, as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest

from cluster_sim.loading.files import load_scenario
from tests.commands import call

pytestmark = pytest.mark.usefixtures("empty_folder")

DISAGGREGATED = ("example:disaggregated_70b", "--variant", "disaggregated")


@pytest.mark.parametrize(
    ("target", "name"), [("vllm", "serve.sh"), ("llm-d", "winner.llm-d"), ("dynamo", "graph.yaml")]
)
def test_what_export_writes_init_reads(
    capsys: pytest.CaptureFixture[str], target: str, name: str
) -> None:
    code, out, err = call(capsys, "export", *DISAGGREGATED, "--emit", target, "-o", name)
    assert (code, out) == (0, "")
    assert f"{target} has no option for cluster.router, cluster.disaggregation" in err
    assert Path(name).is_file()
    code, _, err = call(capsys, "init", "--from", name, "--rate", "3 /s", "--out", "back.yaml")
    assert code == 0
    assert "--model" not in err.partition("defaults were taken")[2]
    back = load_scenario("back.yaml")
    assert [(pool.name, pool.replica.role) for pool in back.cluster.pools] == [
        ("prefill", "prefill"),
        ("decode", "decode"),
    ]
    assert call(capsys, "check", "back.yaml")[0] == 0


def test_without_a_file_the_arguments_are_the_only_output(
    capsys: pytest.CaptureFixture[str], scenario: Path
) -> None:
    command = ("export", scenario, "--variant", "b200", "--emit", "vllm")
    code, out, err = call(capsys, *command)
    assert code == 0
    assert out.startswith("# small/b200: arguments of `vllm serve`")
    assert "--tensor-parallel-size 8" in out
    assert "warning: vllm has no option for cluster.router" in err
    _, changed, _ = call(capsys, *command, "--set", "cluster.pools[0].replica.tensor_parallel=4")
    assert "--tensor-parallel-size 4" in changed


def test_a_run_folder_is_emitted_as_its_scenario(
    capsys: pytest.CaptureFixture[str], scenario: Path
) -> None:
    assert call(capsys, "run", scenario, "--variant", "b200", "--out", "runs")[0] == 0
    [run] = [path.parent for path in Path("runs").rglob("manifest.json")]
    code, out, _ = call(capsys, "export", run, "--emit", "vllm")
    assert code == 0
    assert "--tensor-parallel-size 8" in out


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        ((), "got neither; expected one of --format and --emit"),
        (("--format", "vllm", "--emit", "vllm"), "got both; expected one of --format and --emit"),
        (("--emit", "vllm"), "has several variants; expected --variant, one of b200, cs3"),
        (("--emit", "vllm", "--variant", "cs3"), "pool 'cs3' has wafers"),
        (("--emit", "dynamo1", "--variant", "b200"), "did you mean 'dynamo'"),
        (("--format", "vllm", "--variant", "b200"), "belongs to --emit"),
    ],
)
def test_faults_are_named(
    capsys: pytest.CaptureFixture[str], scenario: Path, arguments: tuple[str, ...], fault: str
) -> None:
    code, _, err = call(capsys, "export", scenario, *arguments)
    assert code == 2
    assert fault in err


def test_arguments_without_comments_take_node_and_traffic_from_options(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("serve.sh").write_text("vllm serve meta-llama/Llama-3.3-70B-Instruct -tp 4\n")
    code, _, err = call(capsys, "init", "--from", "serve.sh", "--node", "dgx-h100")
    assert code == 0
    assert "--node" not in err
    pool = load_scenario("first.yaml").cluster.pools[0]
    assert (pool.node.name, pool.nodes, pool.replicas) == ("DGX H100", 1, 1)
    assert pool.replica.tensor_parallel == 4
    assert pool.kv.prefix_caching  # on unless vLLM is told otherwise


def test_another_model_than_that_of_the_arguments_can_be_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("serve.sh").write_text("vllm serve my/own-model -tp 8\n")
    code, _, err = call(capsys, "init", "--from", "serve.sh")
    assert code == 0
    assert "the catalog has no model 'my/own-model' of the deployment" in err
    assert "TODO: the arguments name the model 'my/own-model'" in Path("first.yaml").read_text()
    command = ("init", "--from", "serve.sh", "--model", "llama-3.1-8b", "--force")
    code, _, err = call(capsys, *command)
    assert code == 0
    assert "the catalog has no model" not in err
    assert load_scenario("first.yaml").model.name == "Llama 3.1 8B"


def test_a_layout_that_the_arguments_state_is_not_given_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("serve.sh").write_text("vllm serve meta-llama/Llama-3.1-8B-Instruct\n")
    code, _, err = call(capsys, "init", "--from", "serve.sh", "--tensor-parallel", "2")
    assert code == 2
    assert "--tensor-parallel: serve.sh states the layout; omit this option or --from" in err
