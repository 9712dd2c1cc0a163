"""A scalar in place of a mapping, and engines' names of keys, are answered with the line to write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from cluster_sim.claims.spec import Claims
from cluster_sim.scenario.scenario import Scenario
from cluster_sim.schema.mapping_hints import mapping_hint
from tests.commands import call
from tests.json_schemas import schema, uses_schema
from tests.machines import TINY_MODEL


def tagged_members(annotation: Any, key: Any) -> Iterator[tuple[Any, str, str]]:
    """Yield the union, the key and the tag of each member; pydantic knows the key of a union."""
    if get_origin(annotation) is Annotated:
        annotation, *notes = get_args(annotation)
        keys = (note.discriminator for note in notes if isinstance(note, FieldInfo))
        key = next(keys, None) or key
    if key is not None:
        for member in get_args(annotation):
            (tag,) = get_args(member.model_fields[key].annotation)
            yield annotation, key, tag
    for part in get_args(annotation):
        yield from tagged_members(part, None)


def fields_of(*owners: type[BaseModel]) -> list[FieldInfo]:
    """Return the fields of descriptions and of all descriptions in them, each once."""
    found: dict[type[BaseModel], list[FieldInfo]] = {}
    waiting: list[Any] = [*owners]
    while waiting:
        part = waiting.pop()
        if isinstance(part, type) and issubclass(part, BaseModel):
            if part not in found:
                found[part] = [*part.model_fields.values()]
                waiting += [info.annotation for info in found[part]]
        else:
            waiting += get_args(part)
    return [info for infos in found.values() for info in infos]


MEMBERS = {
    (key, tag, str(union)): union
    for info in fields_of(Scenario, Claims)
    for union, key, tag in tagged_members(info.annotation, info.discriminator)
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a scenario file."""
    text = {
        "name": "hinted",
        "duration": "10 s",
        "model": TINY_MODEL,
        "workload": {
            "arrivals": {"process": "poisson", "rate": "5 /s"},
            "prompt_tokens": 10,
            "output_tokens": 2,
        },
        "cluster": {"pools": [{"name": "p", "node": "dgx-h200"}]},
    }
    path = tmp_path / "hinted.yaml"
    path.write_text(json.dumps(text))
    return path


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("workload.trace=mine.csv", "a mapping, such as `trace: {path: mine.csv}`"),
        ("slo=500 ms", "a mapping, such as `slo: {ttft: 500 ms}`"),
        ("workload.arrivals=poisson", "such as `arrivals: {process: poisson, rate: 5 /s}`"),
        ("workload.arrivals=poison", "such as `arrivals: {process: poisson, rate: 5 /s}`"),
        ("workload.arrivals=diurnal", "such as `arrivals: {process: diurnal}`"),
        ("workload.arrivals=5 /s", "such as `arrivals: {process: poisson, rate: 5 /s}`"),
        ("workload.sessions=coding-agent", "such as `sessions: {preset: coding-agent}`"),
        ("cluster.router=round_robin", "such as `router: {policy: round_robin}`"),
        (
            "cluster.admission=queue_limit",
            "such as `admission: {policy: queue_limit, max_waiting: …}`",
        ),
        ("cluster.pools=dgx-h200", "such as `pools: [{name: …, node: dgx-h200}]`"),
        ("cluster.pools[0]=dgx-h200", "a mapping, such as `{name: …, node: dgx-h200}`"),
        ("cluster.pools[0].replica=8", "such as `replica: {tensor_parallel: 8}`"),
        ("cluster.pools[0].kv=fp8", "a mapping with keys such as block_tokens, memory_fraction"),
        ("cluster.pools[0].autoscale=queue", "such as `autoscale: {metric: queue, max: …}`"),
        ("cluster.pools[0].batching=continuous", "such as `batching: {policy: continuous}`"),
        ("workload.shared_prefix=100", "such as `shared_prefix: {tokens: 100}`"),
        ("workload.trace=[a.csv]", "got a list; expected a mapping with keys such as path"),
        ("capacity=7 /s", "such as `capacity: {rate: 7 /s}`"),
        ("site=berlin", "a mapping with keys such as inlet"),
    ],
)
def test_a_scalar_for_a_mapping_is_answered_with_the_line_to_write(
    path: Path, capsys: pytest.CaptureFixture[str], setting: str, message: str
) -> None:
    code, _, err = call(capsys, "check", path, "--set", setting)
    assert code == 2
    assert message in err


def test_all_kinds_of_unions_with_tags_are_known() -> None:
    keys = {key for key, *_ in MEMBERS}
    assert keys == {"basis", "distribution", "kind", "metric", "of", "policy", "process"}
    assert {tag for key, tag, _ in MEMBERS if key == "basis"} == {"owned", "rented", "committed"}


@pytest.mark.parametrize(("key", "tag", "union"), MEMBERS, ids=lambda part: part[:20])
def test_the_tag_of_a_member_is_answered_with_its_key(key: str, tag: str, union: str) -> None:
    hint = mapping_hint("place", tag, MEMBERS[key, tag, union])
    assert hint.startswith(
        (f", such as `place: {{{key}: {tag}}}", f", such as `place: {{{key}: {tag},")
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "meant"),
    [
        ("quantization=fp8", "cluster.pools[0].replica.weights"),
        ("replica.quantization=fp8", "cluster.pools[0].replica.weights"),
        ("cluster.pools[0].replica.engine.quantization=fp8", "cluster.pools[0].replica.weights"),
        ("cluster.pools[0].replica.quantization=fp8", "weights"),
        ("dtype=fp8", "cluster.pools[0].replica.weights"),
        ("cluster.pools[0].replica.tensor_parallel_size=8", "tensor_parallel"),
        ("tensor-parallel-size=8", "cluster.pools[0].replica.tensor_parallel"),
        ("pipeline_parallel_size=8", "cluster.pools[0].replica.pipeline_parallel"),
        ("max_num_seqs=8", "cluster.pools[0].batching.max_sequences"),
        ("max_num_batched_tokens=8", "cluster.pools[0].batching.max_batched_tokens"),
        ("cluster.pools[0].kv.gpu_memory_utilization=0.9", "memory_fraction"),
        ("cluster.pools[0].enable_prefix_caching=true", "cluster.pools[0].kv.prefix_caching"),
        ("cluster.pools[0].kv.block_size=16", "block_tokens"),
        ("kv_cache_dtype=fp8", "cluster.pools[0].replica.kv_cache"),
        ("model.max_model_len=100", "max_context"),
        ("max_model_len=100", "model.max_context"),
        ("cluster.pools[0].replica.engine.enforce_eager=true", "graph_mode: none"),
        ("enforce-eager=true", "cluster.pools[0].replica.engine.graph_mode: none"),
        ("cluster.pools[0].replica.engine.order=fcfs", "cluster.pools[0].batching.order"),
        ("cluster.pools[0].batching.static=true", "policy: static"),
        ("cluster.pools[0].replica.engine.mem_fraction_static=0.8", "memory_fraction"),
        ("cluster.pools[0].replica.engine.disable_overlap_scheduler=1", "async_scheduling: false"),
        ("cluster.pools[0].replica.tp_size=8", "tensor_parallel"),
        ("cluster.pools[0].replica.enable_dbo=true", "overlap: two_batch"),
        (
            "cluster.pools[0].replica.engine.num_slots=288",
            "cluster.pools[0].replica.redundant_experts: num_slots less the experts",
        ),
        (
            "cluster.pools[0].replica.all2all_backend=x",
            "cluster.pools[0].replica.engine.expert_exchange",
        ),
        ("maxReplicas=8", "cluster.pools[0].autoscale.max"),
        ("pollingInterval=15", "cluster.pools[0].autoscale.period"),
        ("cluster.pools[0].batching.max_num_tokens=8192", "max_batched_tokens"),
    ],
)
def test_names_of_engines_are_answered_with_the_key(
    path: Path, capsys: pytest.CaptureFixture[str], setting: str, meant: str
) -> None:
    code, _, err = call(capsys, "check", path, "--set", setting)
    assert code == 2
    assert f"did you mean '{meant}'?" in err


@uses_schema
def test_every_name_of_an_engine_stands_for_a_key_that_exists() -> None:
    from cluster_sim.scenario.foreign_names import FOREIGN_NAMES

    text = json.dumps(schema())
    for key in FOREIGN_NAMES.values():
        last = key.rpartition(".")[2].partition(":")[0]
        assert f'"{last}": {{' in text, key
