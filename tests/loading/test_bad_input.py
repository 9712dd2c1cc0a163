"""What is wrong with a file is said with its line, in words that help to mend it, all of it at
once, and never as another exception.
"""

from __future__ import annotations

import random
import re
import time
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cluster_sim
from cluster_sim import ScenarioError

pytestmark = pytest.mark.usefixtures("empty_folder")

BASE = """\
name: small
seed: 3
duration: 60 s
model: llama-3.1-8b
workload:
  arrivals: {process: poisson, rate: 5 /s}
  prompt_tokens: {distribution: lognormal, median: 500, p99: 2000, max: 4000}
  output_tokens: 100
slo: {ttft: 500 ms}
cluster:
  pools:
    - name: a
      node: dgx-h100
      nodes: 1
      replica:
        tensor_parallel: 2
        weights: bf16
      batching: {max_sequences: 64}
  router: {policy: least_work}
"""
KNOWN = "capacity, cluster, drain, duration, model, name, plan, sample, seed, site, slo, stands_for, stepping, sweep, token_prices, variant, variants, warmup, workload"
A_LINK = "kind: x, bandwidth: 1 GB/s, latency: 1 us"

# Words of the tools behind the reader, which a planner must never meet.
JARGON = re.compile(
    r"Input should|validat|pydantic|tagged|union|function-|NoneType|<class|Traceback|dict\b|\bint\b|\bstr\b|\bfloat\b|tuple|ordereddict|node content|stream|<block|<stream|<scalar"
)


def faults(
    text: str | bytes, sets: tuple[str, ...] = (), variants: tuple[str, ...] = ()
) -> list[str]:
    """The lines of the message about a file of this text."""
    Path("x.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    try:
        cluster_sim.load_variants("x.yaml", variants, sets)
    except ScenarioError as error:
        message = str(error)
    else:
        return []
    assert not JARGON.search(message), message
    return message.splitlines()


def edited(*edits: tuple[str, str]) -> str:
    text = BASE
    for old, new in edits:
        assert old in text
        text = text.replace(old, new, 1)
    return text


def test_the_base_of_these_tests_is_right():
    assert faults(BASE) == []


KEYS_AND_CHOICES = [
    ("seed: 3", "sed: 3", "x.yaml:2: unknown key 'sed'; did you mean 'seed'?"),
    ("seed: 3", "xyz: 3", f"x.yaml:2: unknown key 'xyz'; expected one of {KNOWN}"),
    ("seed: 3", "varients: {}", "x.yaml:2: unknown key 'varients'; did you mean 'variants'?"),  # codespell:ignore varients
    ("seed: 3", "1: 4", f"x.yaml:2: unknown key '1'; expected one of {KNOWN}"),
    ("max_sequences", "max_sequnces", "x.yaml:18: cluster.pools[0].batching: unknown key 'max_sequnces'; did you mean 'max_sequences'?"),
    ("rate: 5 /s", "rate: 5 /s, rat: 5 /s", "x.yaml:6: workload.arrivals: unknown key 'rat'; did you mean 'rate'?"),
    ("process: poisson", "process: poison", "x.yaml:6: workload.arrivals.process: got 'poison'; did you mean 'poisson'?"),
    ("process: poisson, ", "", "x.yaml:6: workload.arrivals: 'process' is missing; expected one of at_once, burst, clients, closed_loop, diurnal, gamma, mmpp, on_off, poisson, weibull"),
    ("process: poisson", "process: 5", "x.yaml:6: workload.arrivals.process: got 5; expected one of at_once, burst, clients, closed_loop, diurnal, gamma, mmpp, on_off, poisson, weibull"),
    ("process: poisson", "process: [a]", "x.yaml:6: workload.arrivals.process: got a list; expected one of at_once, burst, clients, closed_loop, diurnal, gamma, mmpp, on_off, poisson, weibull"),
    ("{process: poisson, rate: 5 /s}", "5 /s", "x.yaml:6: workload.arrivals: got '5 /s'; expected a mapping, such as `arrivals: {process: poisson, rate: 5 /s}`"),
    ("{process: poisson, rate: 5 /s}", "[1]", "x.yaml:6: workload.arrivals: got a list; expected a mapping"),
    ("{policy: least_work}", "least_work", "x.yaml:19: cluster.router: got 'least_work'; expected a mapping, such as `router: {policy: least_work}`"),
    ("least_work", "least_wrk", "x.yaml:19: cluster.router.policy: got 'least_wrk'; did you mean 'least_work'?"),
    (", rate: 5 /s", "", "x.yaml:6: workload.arrivals: 'rate' is missing; expected a rate such as '5 /s'"),
    ("name: small\n", "", "x.yaml:1: 'name' is missing"),
    ("name: small", "name: 5", "x.yaml:1: name: got 5; expected text"),
    ("name: a", "name: a/b", "x.yaml:12: cluster.pools[0].name: got 'a/b'; expected letters, digits, '_', '.' and '-' only"),
    ("weights: bf16", "weights: fp16", "x.yaml:17: cluster.pools[0].replica.weights: got 'fp16'; did you mean 'bf16'?"),
    ("weights: bf16", "role: prefil", "x.yaml:17: cluster.pools[0].replica.role: got 'prefil'; did you mean 'prefill'?"),
    ("weights: bf16", "role: prefill", "x.yaml:17: cluster.pools[0].replica.role: got prefill; expected another pool with the role decode"),
    ("weights: bf16", "role: decode", "x.yaml:17: cluster.pools[0].replica.role: got decode; expected another pool with the role prefill"),
    ("router: {policy: least_work}", "disaggregation: {policy: least_kv}", "x.yaml:19: cluster.disaggregation: got disaggregated prefill without pools for it; expected pools with replica.role prefill and decode"),
    ("router: {policy: least_work}", "disaggregation: {policy: least_vk}", "x.yaml:19: cluster.disaggregation.policy: got 'least_vk'; did you mean 'least_kv'?"),
    ("router: {policy: least_work}", "disaggregation: {kv_transfer: on}", "x.yaml:19: cluster.disaggregation.kv_transfer: got 'on'; expected one of layers, whole, off"),
    ("weights: bf16", "engine: vllm-0.23", "x.yaml:17: cluster.pools[0].replica.engine: no engine 'vllm-0.23' in the catalog; vllm-0.22 covers it (0.20 to 0.27)"),
    ("weights: bf16", "engine: vllm-0", "x.yaml:17: cluster.pools[0].replica.engine: no engine 'vllm-0' in the catalog; the oldest profile is vllm-0.10 (0.9 to 0.13)"),
    ("weights: bf16", "engine: vlm", "x.yaml:17: cluster.pools[0].replica.engine: no engine 'vlm' in the catalog; did you mean 'vllm'?"),
    ("max_sequences: 64", "policy: sttic", "x.yaml:18: cluster.pools[0].batching.policy: got 'sttic'; did you mean 'static'?"),
    ("max_sequences: 64", "chunked_prefill: 3", "x.yaml:18: cluster.pools[0].batching.chunked_prefill: got 3; expected true or false"),
    ("dgx-h100", "dgx-h10", "x.yaml:13: cluster.pools[0].node: no node 'dgx-h10' in the catalog; did you mean 'dgx-h100'?"),
    ("dgx-h100", "5", "x.yaml:13: cluster.pools[0].node: got 5; expected a name in the catalog, the path of a file, or a mapping"),
    ("dgx-h100", "./nope.yaml", "x.yaml:13: cluster.pools[0].node: no file './nope.yaml'"),
    ("dgx-h100", "~nobody-of-that-name/x.yaml", "x.yaml:13: cluster.pools[0].node: no file '~nobody-of-that-name/x.yaml'"),
    ("llama-3.1-8b", "llama-3.1-7b", "x.yaml:4: model: no model 'llama-3.1-7b' in the catalog; did you mean 'llama-3.1-8b'?"),
    ("llama-3.1-8b", "config.json", "x.yaml:4: model: no file 'config.json'; expected the path of a config.json"),
    ("router: {policy: least_work}", "network: ndr-rial", "x.yaml:19: cluster.network: no network 'ndr-rial' in the catalog; did you mean 'ndr-rail'?"),
]  # fmt: skip

QUANTITIES = [
    ("60 s", "60", "x.yaml:3: duration: 60 has no unit; expected a time such as '20 min'"),
    ("60 s", "20 minutos", "x.yaml:3: duration: unknown unit 'minutos'; expected a time such as '20 min'"),
    ("60 s", "5 kg", "x.yaml:3: duration: 'kg' is a mass, not a time; expected a time such as '20 min'"),
    ("60 s", "5 GB", "x.yaml:3: duration: 'GB' is an amount of data, not a time; expected a time such as '20 min'"),
    ("60 s", "5 m", "x.yaml:3: duration: 'm' is a length, not a time; expected a time such as '20 min'"),
    ("60 s", "1 s/h", "x.yaml:3: duration: 's/h' is a bare number, not a time; expected a time such as '20 min'"),
    ("60 s", "-1 s", "x.yaml:3: duration: '-1 s' must be above 0 s; expected a time such as '20 min'"),
    ("60 s", "0 s", "x.yaml:3: duration: '0 s' must be above 0 s; expected a time such as '20 min'"),
    ("60 s", "nan s", "x.yaml:3: duration: 'nan s' is not a finite number; expected a time such as '20 min'"),
    ("60 s", "1e400 s", "x.yaml:3: duration: '1e400 s' is not a finite number; expected a time such as '20 min'"),
    ("60 s", ".nan", "x.yaml:3: duration: .nan has no unit; expected a time such as '20 min'"),
    ("60 s", "soon", "x.yaml:3: duration: 'soon' is not a quantity; expected a time such as '20 min'"),
    ("60 s", "true", "x.yaml:3: duration: got true; expected a time such as '20 min'"),
    ("60 s", "[1 s]", "x.yaml:3: duration: got a list; expected a time such as '20 min'"),
    ("rate: 5 /s", "rate: 5", "x.yaml:6: workload.arrivals.rate: 5 has no unit; expected a rate such as '5 /s'"),
    ("rate: 5 /s", "rate: 5 s", "x.yaml:6: workload.arrivals.rate: 's' is a time, not a rate; expected a rate such as '5 /s'"),
    ("rate: 5 /s", "rate: .inf /s", "x.yaml:6: workload.arrivals.rate: '.inf /s' is not a finite number; expected a rate such as '5 /s'"),
    ("rate: 5 /s", "rate: ", "x.yaml:6: workload.arrivals.rate: got nothing; expected a rate such as '5 /s'"),
]  # fmt: skip

NUMBERS = [
    ("nodes: 1", "nodes: true", "x.yaml:14: cluster.pools[0].nodes: got true; expected a number"),
    ("nodes: 1", "nodes: 1.5", "x.yaml:14: cluster.pools[0].nodes: got 1.5; expected a whole number"),
    ("nodes: 1", "nodes: -1", "x.yaml:14: cluster.pools[0].nodes: got -1; expected more than 0"),
    ("nodes: 1", "nodes: 0", "x.yaml:14: cluster.pools[0].nodes: got 0; expected more than 0"),
    ("nodes: 1", "nodes: .nan", "x.yaml:14: cluster.pools[0].nodes: got .nan; expected a finite number"),
    ("nodes: 1", "nodes: -.inf", "x.yaml:14: cluster.pools[0].nodes: got -.inf; expected a finite number"),
    ("nodes: 1", "nodes: two", "x.yaml:14: cluster.pools[0].nodes: got 'two'; expected a whole number"),
    ("nodes: 1", "nodes: ", "x.yaml:14: cluster.pools[0].nodes: got nothing; expected a whole number"),
    ("nodes: 1", "nodes: 1" + "0" * 100, "x.yaml:14: cluster.pools[0].nodes: got a huge number; expected at most 200,000: each device has its own states, routes and rows in memory"),
    ("seed: 3", "seed: -1", "x.yaml:2: seed: got -1; expected at least 0"),
    ("seed: 3", "seed: 2024-01-01", "x.yaml:2: seed: got '2024-01-01'; expected a whole number"),
    ("seed: 3", "seed: " + "9" * 5000, f"x.yaml:2: seed: got '{'9' * 60}…'; expected a whole number of fewer digits"),
    ("p99: 2000", "p99: true", "x.yaml:7: workload.prompt_tokens.p99: got true; expected a number"),
    ("p99: 2000", "p99: .nan", "x.yaml:7: workload.prompt_tokens.p99: got .nan; expected a finite number"),
    ("p99: 2000", "p99: many", "x.yaml:7: workload.prompt_tokens.p99: got 'many'; expected a number"),
    ("p99: 2000, ", "", "x.yaml:7: workload.prompt_tokens: expected exactly one of 'p99' and 'sigma' with 'median'"),
    ("p99: 2000", "p99: 20", "x.yaml:7: workload.prompt_tokens: got p99 20 and median 500; expected p99 at least the median"),
    ("output_tokens: 100", "output_tokens: -5", "x.yaml:8: workload.output_tokens: got -5; expected more than 0"),
    ("output_tokens: 100", "output_tokens: 1.5", "x.yaml:8: workload.output_tokens: got 1.5; expected a whole number of tokens, or a mapping with a distribution"),
    ("output_tokens: 100", "output_tokens: {distribution: empirical, quantiles: {}}", "x.yaml:8: workload.output_tokens: quantiles must ascend from 0 to 1, and their lengths must not decrease"),
    ("output_tokens: 100", "output_tokens: {distribution: empirical, quantiles: {0: 1, x: 2, 1: 5}}", "x.yaml:8: workload.output_tokens.quantiles.x: got 'x'; expected a number"),
    ("output_tokens: 100", "output_tokens: {distribution: empirical, quantiles: {0: 1, 0.5: -2, 1: 5}}", "x.yaml:8: workload.output_tokens.quantiles.0.5: got -2; expected at least 1"),
    ("output_tokens: 100", "output_tokens: {distribution: uniform, low: 5, high: 2}", "x.yaml:8: workload.output_tokens: got high 2 and low 5; expected high at least low"),
]  # fmt: skip

CLUSTERS = [
    ("tensor_parallel: 2", "tensor_parallel: 3", "x.yaml:12: cluster.pools[0]: 1 node holds 8 devices, which is not divisible by replicas of 3; expected a multiple, or 'replicas: 2'"),
    ("tensor_parallel: 2", "pipeline_parallel: 16", "x.yaml:14: cluster.pools[0].nodes: 1 node holds 8 devices; expected at least 16 for a replica"),
    ("tensor_parallel: 2", "wafers: 2", "x.yaml:16: cluster.pools[0].replica.wafers: NVIDIA H100 SXM is not a wafer; expected tensor_parallel and pipeline_parallel"),
    ("tensor_parallel: 2", "weights_from: memoryx", "x.yaml:16: cluster.pools[0].replica.weights_from: got memoryx, which is for wafers only; NVIDIA H100 SXM is not a wafer"),
    ("tensor_parallel: 2", "layout: whole", "x.yaml:16: cluster.pools[0].replica.layout: got whole, which is for wafers only; NVIDIA H100 SXM is not a wafer"),
    ("tensor_parallel: 2", "defective_cores: 0.01", "x.yaml:16: cluster.pools[0].replica.defective_cores: got 0.01, which is for wafers only; NVIDIA H100 SXM is not a wafer"),
    ("tensor_parallel: 2", "start: lukewarm", "x.yaml:16: cluster.pools[0].replica.start: got 'lukewarm'; did you mean 'warm'?"),
    ("dgx-h100", "cs-3", "x.yaml:16: cluster.pools[0].replica.tensor_parallel: got 2; Cerebras WSE-3 is a wafer, for which 'wafers' spreads the layers; expected no tensor_parallel"),
    ("llama-3.1-8b", "llama-3.1-405b", "x.yaml:15: cluster.pools[0].replica: the bf16 weights of Llama 3.1 405B do not fit: 405.9 GB on each of 2 devices of 85.5 GB, 0.0 GB left for the KV cache; expected more devices per replica (tensor_parallel, pipeline_parallel), or weights: fp8"),
    ("llama-3.1-8b", "llama-2-70b", "x.yaml:5: workload: the longest request, 4,100 tokens, exceeds the context of Llama 2 70B, 4,096 tokens; expected shorter prompts and answers, such as a `max` of their lengths"),
    ("  router", "    - {name: a, node: dgx-h100}\n  router", "x.yaml:19: cluster.pools[1].name: got 'a' twice; expected different names of pools"),
    ("router: {policy: least_work}", "network: {name: n}", "x.yaml:19: cluster.network: expected 'links' or 'fabric'"),
    ("router: {policy: least_work}", "network: {fabric: {shape: fat_tree, kind: x, radix: 2, bandwidth: 1 GB/s, latency: 1 us, switch_latency: 1 us}}", "x.yaml:19: cluster.network: 8 NICs need 8 leaves with 1 cables to spines each, which is more than two tiers of switches with 2 ports have; expected fewer nodes, a larger radix or more oversubscription"),
    ("router: {policy: least_work}", "network: {fabric: {shape: ring, kind: x, radix: 64, bandwidth: 1 GB/s, latency: 1 us, switch_latency: 1 us}}", "x.yaml:19: cluster.network.fabric.shape: got 'ring'; expected one of rail_optimised, fat_tree"),
    ("router: {policy: least_work}", "network: {links: []}", "x.yaml:19: cluster.network: no route leads from front_door to a/0/device0 and 7 more"),
    ("router: {policy: least_work}", f"network: {{links: [{{between: [front_door], {A_LINK}}}]}}", "x.yaml:19: cluster.network.links[0].between: got a list of 1; expected a list of 2"),
    ("router: {policy: least_work}", f"network: {{links: [{{between: [front_door, a, b], {A_LINK}}}]}}", "x.yaml:19: cluster.network.links[0].between: got a list of 3; expected at most 2"),
    ("  router: {policy: least_work}", f"    - {{name: b, node: dgx-h100}}\n  network: {{links: [{{between: [front_door, a/0], {A_LINK}}}]}}", "x.yaml:20: cluster.network: no route leads from front_door to b/0/device0 and 7 more"),
    ("  router", "    - {name: b, node: {name: N, device: h100-sxm, devices: 1, links: [], network: ndr-rail}}\n  router", "x.yaml:19: cluster.pools[1].node: no route leads from front_door to b/0/device0"),
    ("duration: 60 s\n", "", "x.yaml:1: 'duration' is missing; expected a time such as '20 min', or 'requests' under workload.arrivals"),
    ("seed: 3", "warmup: 60 s", "x.yaml:2: warmup: got 60 s; expected less than the duration of 60 s"),
    ("  output_tokens: 100\n", "", "x.yaml:5: workload: 'output_tokens' is missing; expected arrivals, prompt_tokens and output_tokens, or a trace"),
    ("  output_tokens: 100\n", "  classes: [{name: a, share: 0.5, output_tokens: 9}, {name: b, share: 0.5}]\n", "x.yaml:5: workload: 'output_tokens' is missing; expected arrivals, prompt_tokens and output_tokens, or a trace"),
    ("output_tokens: 100", "output_tokens: 100\n  classes: [{name: a, share: 0.5}, {name: b, share: 0.4}]", "x.yaml:9: workload.classes: got shares that add up to 0.9; expected 1"),
    ("output_tokens: 100", "output_tokens: 100\n  classes: [{name: a, share: 0.5}, {name: a, share: 0.5}]", "x.yaml:9: workload.classes[1].name: got 'a' twice; expected different names of classes"),
    ("output_tokens: 100", "output_tokens: 100\n  classes: [{name: a, share: 1, prompt_tokens: 200000}]", "x.yaml:5: workload: the longest request, 200,100 tokens, exceeds the context of Llama 3.1 8B, 131,072 tokens; expected shorter prompts and answers, such as a `max` of their lengths"),
    ("output_tokens: 100", "output_tokens: 100\n  classes: [{name: a, share: 0}]", "x.yaml:9: workload.classes[0].share: got 0; expected more than 0"),
    ("router:", "admission: {policy: predicted}\n  router:", "x.yaml:19: cluster.admission.policy: got 'predicted'; did you mean 'predicted_ttft'?"),
    ("router:", "admission: {policy: queue_limit}\n  router:", "x.yaml:19: cluster.admission: 'max_waiting' is missing"),
    ("router:", "admission: {policy: token_bucket, burst: 5}\n  router:", "x.yaml:19: cluster.admission: 'rate' is missing; expected a rate such as '5 /s'"),
    ("router:", "admission: {policy: queue_limit, max_waiting: 5, per: pool}\n  router:", "x.yaml:19: cluster.admission.per: got 'pool'; expected one of replica, cluster"),
    ("router: {policy: least_work}", "router: {policy: least_work, staleness: 2}", "x.yaml:19: cluster.router.staleness: 2 has no unit; expected a time such as '20 min'"),
    ("router: {policy: least_work}", "router: {policy: random, staleness: 2 s}", "x.yaml:19: cluster.router: unknown key 'staleness'; expected policy"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "message"), KEYS_AND_CHOICES + QUANTITIES + NUMBERS + CLUSTERS
)
def test_each_fault_is_told_with_its_line_what_came_and_what_was_wanted(
    old: str, new: str, message: str
):
    told = faults(edited((old, new)))
    assert message in told, told
    # a width that does not divide the devices does not divide the heads either; all else is one
    # fault, told once
    assert len(told) == (2 if "replicas of 3" in message else 1), told


def test_shedding_by_ttft_needs_a_limit_from_somewhere():
    shedding = ("router:", "admission: {policy: predicted_ttft}\n  router:")
    assert faults(edited(shedding, ("slo: {ttft: 500 ms}", "slo: {tpot: 50 ms}"))) == [
        "x.yaml:19: cluster.admission: 'limit' is missing; expected a time such as '2 s', or a ttft in the SLO"
    ]


@pytest.mark.parametrize(
    ("slo", "told"),
    [
        (
            "{percentile: 95}",
            "x.yaml:9: slo.percentile: has no objective to judge; expected ttft, tpot or e2el beside it",
        ),
        ("{ttft: 1 s, percentile: 0}", "slo.percentile: got 0; expected more than 0"),
        ("{ttft: 1 s, percentile: 101}", "slo.percentile: got 101"),
        ("{ttft: 1 s, percentile: p95}", "slo.percentile: got 'p95'"),
    ],
)
def test_a_percentile_is_a_number_up_to_100_and_of_an_objective(slo: str, told: str):
    (fault,) = faults(edited(("{ttft: 500 ms}", slo)))
    assert told in fault


def test_a_class_with_a_percentile_has_an_objective_of_its_own():
    """The objectives of a class stand in place of all of the scenario's."""
    classes = "classes: [{name: a, share: 0.5, slo: {percentile: 90}}, {name: b, share: 0.5}]"
    (fault,) = faults(edited(("slo:", f"  {classes}\nslo:")))
    assert "slo.percentile: has no objective to judge" in fault


def test_clients_that_never_think_may_be_refused():
    """They back off, so that time passes."""
    edit = edited(
        ("{process: poisson, rate: 5 /s}", "{process: closed_loop, concurrency: 4}"),
        ("router:", "admission: {policy: queue_limit, max_waiting: 5}\n  router:"),
    )
    assert not faults(edit)


def test_sessions_whose_window_holds_no_request_are_refused():
    """They would start one after another at the same moment: a session begins with 7,000 tokens."""
    old = BASE[BASE.index("  arrivals") : BASE.index("slo")]
    sessions = "  sessions: {preset: coding-agent, concurrency: 2, window_tokens: 6000}\n"
    assert faults(edited((old, sessions))) == [
        "x.yaml:6: workload.sessions.window_tokens: got 6000, into which no first prompt with its answer fits in 1,024 sessions; expected more tokens"
    ]


def test_pools_that_hand_over_must_suit_each_other():
    decoding = """    - {name: b, node: dgx-h100, replica: {tensor_parallel: 2, kv_cache: fp8, role: decode}, batching: {policy: static}}
  router"""
    reading = "weights: bf16\n        role: prefill\n        speculation: {draft_tokens: 2, acceptance: 0.5, draft_cost: 0.1}"
    assert faults(edited(("weights: bf16", reading), ("  router", decoding))) == [
        "x.yaml:19: cluster.pools[0].replica.speculation: a pool of the role prefill decodes nothing; expected speculation in the pool of the role decode",
        "x.yaml:21: cluster.pools[1].batching: static batching keeps its requests to the end; a pool of the role decode needs the policy 'continuous'",
        "x.yaml:21: cluster.pools[1].replica.kv_cache: got fp8; expected bf16, which pool 'a' sends: a KV transfer does not convert",
    ]


def test_a_prefill_pool_needs_room_for_prompts_only():
    """A prompt of 4000 tokens fits 4192 tokens of KV; with an answer of 4000 tokens more it does
    not.
    """
    small = "tensor_parallel: 8, weights: bf16"
    text = edited(
        ("output_tokens: 100", "output_tokens: 4000"),
        (
            "        tensor_parallel: 2\n        weights: bf16\n",
            "        weights: bf16\n        role: prefill\n      kv: {memory_fraction: 0.229}\n",
        ),
        (
            "  router",
            f"    - {{name: b, node: dgx-h100, replica: {{{small}, role: decode}}}}\n  router",
        ),
    )
    assert faults(text) == []
    assert faults(text.replace("        role: prefill\n", "").replace(", role: decode", ""))[
        0
    ].startswith("x.yaml:5: workload: the longest request, 8,000 tokens")


def test_a_longest_request_that_can_never_be_admitted_is_told():
    (told,) = faults(
        edited(
            ("batching:", "kv: {memory_fraction: 0.14}\n      batching:"),
            ("max: 4000", "max: 100000"),
        )
    )
    assert re.fullmatch(
        r"x\.yaml:5: workload: the longest request, 100,100 tokens, can never be admitted: the KV cache capacity of a replica of pool 'a' is [\d,]+ tokens; expected shorter requests, more devices per replica, or a smaller kv_cache format",
        told,
    )


def test_a_model_of_states_alone_has_no_prefix_to_find():
    mamba = "{name: m, layers: 4, hidden: 64, vocabulary: 256, max_context: 4096, ffn: 128, attention_layers: [{kind: mamba2, layers: 4, heads: 4, head_dim: 16, state: 16}]}"
    (told,) = faults(
        edited(
            ("llama-3.1-8b", mamba), ("batching:", "kv: {prefix_caching: true}\n      batching:")
        )
    )
    assert told.endswith(
        "kv.prefix_caching: got true; expected false: the layers of m keep states only, of which this version reuses no prefix"
    )


def test_tiers_do_not_keep_states():
    heads = "heads: 4, kv_heads: 2, head_dim: 16"
    kinds = f"[{{kind: full, layers: 2, {heads}}}, {{kind: mamba2, layers: 2, heads: 4, head_dim: 16, state: 16}}]"
    model = f"{{name: m, layers: 4, hidden: 64, vocabulary: 256, max_context: 4096, ffn: 128, attention_layers: {kinds}}}"
    tier = "offload: [{tier: host, capacity: 100 GB, bandwidth: 50 GB/s}]"
    (told,) = faults(
        edited(
            ("llama-3.1-8b", model),
            ("batching:", f"kv: {{prefix_caching: true, {tier}}}\n      batching:"),
        )
    )
    assert told.endswith(
        "kv.offload: got tiers; expected no tiers: m has layers with a state, which tiers do not keep in this version"
    )


def test_weights_that_do_not_fit_beside_the_activations_of_a_step_are_told():
    """Kimi K2 in fp8 leaves 6 GB of 0.9 x 150.8 GB; 2.2 and 1.45 GB are reserved, and the sampler
    takes 1,024 x 163,840 x 38 B and 8,192 x 7,168 x 2 B, less 1.4 GB.
    """
    replica = "tensor_parallel: 8\n        engine: vllm-0.10\n"
    (told,) = faults(
        edited(
            ("llama-3.1-8b", "kimi-k2"),
            ("dgx-h100", "dgx-h200"),
            ("tensor_parallel: 2\n        weights: bf16\n", replica),
            ("      batching: {max_sequences: 64}\n", ""),
        )
    )
    assert told == (
        "x.yaml:15: cluster.pools[0].replica: the fp8 weights of Kimi K2 do not fit: 129.4 GB on each of 8 devices of 150.8 GB beside 5.1 GB that experts and the sampler need in a step of 8,192 tokens and 1,024 sequences, 0.0 GB left for the KV cache; expected more devices per replica (tensor_parallel, pipeline_parallel), or weights: fp4"
    )


def test_tensor_parallelism_must_divide_heads():
    assert (
        faults(edited(("tensor_parallel: 2", "tensor_parallel: 3")))[1]
        == "x.yaml:16: cluster.pools[0].replica.tensor_parallel: 3 does not divide the 32 heads of Llama 3.1 8B; expected one of 1, 2, 4, 8, 16, 32"
    )


def test_memory_of_a_device_that_is_written_in_the_scenario_is_checked_for_its_unit():
    node = "{name: N, devices: 8, links: [], network: ndr-rail, device: {name: D, memory: {capacity: 8 TBs, bandwidth: 3 TB}, peak: {bf16: 1 TFLOP/s}}}"
    assert faults(edited(("dgx-h100", node))) == [
        "x.yaml:13: cluster.pools[0].node.device.memory.capacity: unknown unit 'TBs'; expected an amount of data such as '192 GB'",
        "x.yaml:13: cluster.pools[0].node.device.memory.bandwidth: 'TB' is an amount of data, not a bandwidth; expected a bandwidth such as '8 TB/s'",
    ]


def test_bits_where_bytes_are_meant_are_converted():
    Path("x.yaml").write_text(BASE)
    scenario = cluster_sim.load_scenario(
        "x.yaml", overrides={"cluster.pools[0].node.device.memory.capacity": "8 Tb"}
    )
    assert scenario.cluster.pools[0].node.device.memory.capacity_bytes == 1e12


def test_the_faults_of_a_file_come_together_in_the_order_of_its_lines():
    text = edited(
        ("weights: bf16", "weights: fp16"),
        ("seed: 3", "sed: 3"),
        ("max: 4000", "max: many"),
        ("dgx-h100", "dgx-h10"),
    )
    assert faults(text) == [
        "x.yaml:2: unknown key 'sed'; did you mean 'seed'?",
        "x.yaml:7: workload.prompt_tokens.max: got 'many'; expected a whole number",
        "x.yaml:13: cluster.pools[0].node: no node 'dgx-h10' in the catalog; did you mean 'dgx-h100'?",
        "x.yaml:17: cluster.pools[0].replica.weights: got 'fp16'; did you mean 'bf16'?",
    ]


def test_a_file_is_named_as_it_was_given(tmp_path: Path):
    for name in ("y.yaml", str(tmp_path / "y.yaml"), "./y.yaml"):
        Path("y.yaml").write_text(edited(("seed: 3", "sed: 3")))
        with pytest.raises(ScenarioError, match=re.escape(f"{Path(name)}:2: unknown key 'sed'")):
            cluster_sim.load_scenario(name)


# --- variants
#
# -----------------------------------------------------------------------------------------------------------


def test_faults_in_variants_point_to_the_lines_of_the_variants_and_come_together():
    variants = "variants:\n  one: {}\n  two: {seed: x, cluster: {rooter: 1}}\n  three:\n    duration: 5 kg\n"
    assert faults(BASE + variants) == [
        "x.yaml:22: seed: got 'x'; expected a whole number",
        "x.yaml:22: cluster: unknown key 'rooter'; did you mean 'router'?",
        "x.yaml:24: duration: 'kg' is a mass, not a time; expected a time such as '20 min'",
    ]
    assert faults(BASE + variants, variants=("one",)) == []


def test_what_does_not_fit_together_names_the_variant():
    assert faults(BASE + "variants:\n  big:\n    model: llama-3.1-405b\n")[0].endswith(
        "0.0 GB left for the KV cache; expected more devices per replica (tensor_parallel, pipeline_parallel), or weights: fp8 (variant big)"
    )


def test_a_variant_that_is_not_there_is_refused():
    assert faults(BASE + "variants: {two: {}}\n", variants=("tow",)) == [
        "x.yaml:20: no variant 'tow'; did you mean 'two'?"
    ]
    assert faults(BASE, variants=("tow",)) == ["x.yaml: no variant 'tow'; the file has none"]


@pytest.mark.parametrize(
    "variants", ["", "{a: }", "{a: {}}", "{1: {seed: 4}}", "{a: {seed: null}}"]
)
def test_variants_may_be_empty_or_numbered(variants: str):
    assert faults(f"{BASE}variants: {variants}\n") == []


@pytest.mark.parametrize(
    ("variants", "message"),
    [
        ("5", "x.yaml:20: variants: expected a mapping of names to changes"),
        ("[]", "x.yaml:20: variants: expected a mapping of names to changes"),
        ("{}", "x.yaml:20: variants: expected a mapping of names to changes"),
        ("{a: 5}", "x.yaml:20: variants.a: expected a mapping of changed keys, or {}"),
        (
            "{a: {variants: {b: {}}}}",
            "x.yaml:20: 'variants' is allowed only at the top level of a file",
        ),
        ("{a: {name: null}}", "x.yaml:1: 'name' is missing"),
        (
            "{a: {cluster: 5}}",
            "x.yaml:20: cluster: got 5; expected a mapping with keys such as pools",
        ),
        (
            "{a: {cluster: {pools: []}}}",
            "x.yaml:20: cluster.pools: got an empty list; expected at least 1",
        ),
    ],
)
def test_malformed_variants_are_told(variants: str, message: str):
    assert faults(f"{BASE}variants: {variants}\n") == [message]


# --- --set
#
# --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("a", "expected key=value, such as --set cluster.pools[0].nodes=2"),
        ("=5", "expected key=value, such as --set cluster.pools[0].nodes=2"),
        ("a..b=3", "'a..b' is not a key; expected one such as cluster.pools[0].nodes"),
        ("cluster.pools[-1].nodes=2", "'cluster.pools[-1].nodes' is not a key; expected one such as cluster.pools[0].nodes"),
        ("cluster.pools[0]nodes=2", "'cluster.pools[0]nodes' is not a key; expected one such as cluster.pools[0].nodes"),
        ("cluster.pools[1].nodes=2", "got 1 as an index of cluster.pools; expected an index from 0 to 0, or a name: a"),
        ("cluster.pools.nodes=2", "got 'nodes' as an index of cluster.pools; expected an index from 0 to 0, or a name: a"),
        ("sed=1", "unknown key 'sed'; did you mean 'seed'?"),
        ("cluster.pools[0].node.device.name.x=1", "cluster.pools[0].node.device.name: got a mapping; expected text"),
        ("model.layer=3", "model: unknown key 'layer'; did you mean 'layers'?"),
        ("seed=x", "seed: got 'x'; expected a whole number"),
        ("seed.x=3", "seed: got a mapping; expected a whole number"),
        ("seed=[", "is not valid YAML: expected a value, but found the end of the file"),
        ("seed=*a", "is not valid YAML: found undefined alias 'a'"),
        ("seed=!x 3", "the tag '!x' is not supported; expected the value without a tag"),
        ("duration=5", "duration: 5 has no unit; expected a time such as '20 min'"),
        ("duration=5 kg", "duration: 'kg' is a mass, not a time; expected a time such as '20 min'"),
        ("cluster.pools=[]", "cluster.pools: got an empty list; expected at least 1"),
        ("workload.output_tokens.tokens=5", "workload.output_tokens: 'distribution' is missing; expected one of empirical, fixed, lognormal, mixture, uniform, zipf"),
        ("variants.x=3", "'variants' is allowed only at the top level of a file"),
    ],
)  # fmt: skip
def test_a_set_that_is_wrong_is_told_under_its_own_text(assignment: str, message: str):
    assert faults(BASE, sets=(assignment,)) == [f"--set {assignment}: {message}"]


def test_faults_of_several_sets_come_together():
    assert faults(BASE, sets=("a", "seed=x", "duration=5 kg")) == [
        "--set a: expected key=value, such as --set cluster.pools[0].nodes=2",
        "--set seed=x: seed: got 'x'; expected a whole number",
        "--set duration=5 kg: duration: 'kg' is a mass, not a time; expected a time such as '20 min'",
    ]


def test_a_value_that_is_set_may_have_a_unit_be_a_list_or_lie_below_a_name_of_the_catalog():
    Path("x.yaml").write_text(BASE)
    sets = [
        "duration=5 min",
        "cluster.pools=[{name: b, node: dgx-h100}]",
        "cluster.pools[0].node.devices=4",
        "cluster.pools[0].node.device.memory.capacity=100 GB",
    ]
    (scenario,) = cluster_sim.load_variants("x.yaml", [], sets)
    pool = scenario.cluster.pools[0]
    assert (
        scenario.duration_s,
        pool.name,
        pool.node.name,
        pool.node.devices,
        pool.node.device.memory.capacity_bytes,
    ) == (300.0, "b", "DGX H100", 4, 100e9)


def test_setting_nothing_takes_a_key_away():
    assert faults(BASE, sets=("seed=",)) == []
    assert faults(BASE, sets=("name=",)) == ["x.yaml:1: 'name' is missing"]


# --- files
#
# --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "x.yaml:1: got nothing; expected a mapping (`key: value` lines)"),
        ("# only a comment\n", "x.yaml:1: got nothing; expected a mapping (`key: value` lines)"),
        ("- a\n- b\n", "x.yaml:1: got a list; expected a mapping (`key: value` lines)"),
        ("5", "x.yaml:1: got 5; expected a mapping (`key: value` lines)"),
        (edited(("seed: 3", "seed: 3\nseed: 4")), "x.yaml:3: the key 'seed' is written twice, first on line 2"),
        (edited(("weights: bf16", "weights: bf16\n        weights: fp8")), "x.yaml:18: the key 'weights' is written twice, first on line 17"),
        (edited(("seed: 3", "\tseed: 3")), "x.yaml:2: is not valid YAML: got a tab; expected spaces"),
        (edited(("seed: 3", "seed: [3")), "x.yaml:3: is not valid YAML: expected ',' or ']', but got ':', in the part that begins on line 2"),
        (edited(("seed: 3", "seed: *x")), "x.yaml:2: is not valid YAML: found undefined alias 'x'"),
        (edited(("seed: 3", "seed: !!python/object:os.system 3")), "x.yaml:2: the tag '!!python/object:os.system' is not supported; expected the value without a tag"),
        (edited(("seed: 3", "? [a, b]\n: 3")), "x.yaml:2: got a sequence as a key; expected a word or a number"),
        (edited(("seed: 3", "---\nseed: 3")), "x.yaml:2: is not valid YAML: got a second document (`---`); expected one"),
        ("a: &a [*a]\n", "x.yaml:1: an anchor contains itself"),
        ("b: 1\na: &a {b: *a}\n", "x.yaml:2: an anchor contains itself"),
        ("a: &a {<<: *a}\n", "x.yaml:1: an anchor contains itself"),
        ("<<: 5\n", "x.yaml:1: got 5; expected a mapping to merge"),
        ("[" * 1000, "x.yaml: is nested too deeply"),
        ("{a: " * 1000, "x.yaml: is nested too deeply"),
        ("- " * 1000, "x.yaml: is nested too deeply"),
        (b"name: \xe9\n", "x.yaml: is not UTF-8 text (byte 6)"),
        (b"name: x\nseed: \x00\n", "x.yaml:2: is not valid YAML: the character U+0000 is not allowed"),
        ("name: 'abc\n", "x.yaml:2: is not valid YAML: found the end of the file, in the part that begins on line 1"),
        ("%YAML 3.0\n---\na: 1\n", "x.yaml:1: is not valid YAML: found incompatible YAML document (version 1.* is required)"),
    ],
)  # fmt: skip
def test_what_is_no_readable_mapping_is_told(text: str | bytes, message: str):
    assert faults(text) == [message]


@pytest.mark.slow
@pytest.mark.parametrize(
    "bomb",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{i}: &a{i} [{','.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 30)),
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{<<: [{','.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 12)),
        "a0: &a0 {x: 1}\n"
        + "".join(f"a{i}: &a{i} {{b: *a{i - 1}, c: *a{i - 1}}}\n" for i in range(1, 60)),
    ],
)
def test_anchors_that_explode_are_refused_quickly(bomb: str):
    began = time.perf_counter()
    assert faults(bomb) == ["x.yaml: holds more than 200,000 values after its anchors are expanded"]
    assert time.perf_counter() - began < 10.0


def test_anchors_of_a_long_text_are_not_copied():
    (told,) = [
        line
        for line in faults(
            "name: &a " + "x" * 100_000 + "\nseed: [" + ",".join(["*a"] * 10_000) + "]\n"
        )
        if "seed" in line
    ]
    assert told == "x.yaml:2: seed: got a list; expected a whole number"


def test_a_scenario_that_is_missing_or_a_folder_is_told():
    for path, message in [
        ("nope.yaml", "nope.yaml: no such file"),
        (".", ".: is a folder; expected a file"),
        ("x" * 300, f"{'x' * 300}: cannot be read: file name too long"),
        ("\0", "'\\x00': no such file"),
    ]:
        with pytest.raises(ScenarioError) as told:
            cluster_sim.load_scenario(path)
        assert str(told.value) == message


def test_faults_in_a_node_file_name_that_file_and_its_lines_and_paths_in_it_start_from_its_folder(
    tmp_path: Path,
):
    Path("parts").mkdir()
    Path("parts/node.yaml").write_text(
        "name: N\ndevice: device.yaml\ndevices: x\nlinks: []\nnetwerk: a\n"
    )
    Path("parts/device.yaml").write_text(
        "name: D\nmemory:\n  capacity: {value: 8 TBs, source: x}\n  bandwidth: 3 TB/s\npeak: {bf16: 1 TFLOP/s}\n"
    )
    parts = tmp_path / "parts"
    assert faults(edited(("dgx-h100", "parts/node.yaml"), ("seed: 3", "seed: x"))) == [
        "x.yaml:2: seed: got 'x'; expected a whole number",
        f"{parts}/device.yaml:3: memory.capacity: unknown unit 'TBs'; expected an amount of data such as '192 GB'",
        f"{parts}/node.yaml:1: 'network' is missing",
        f"{parts}/node.yaml:3: devices: got 'x'; expected a whole number",
        f"{parts}/node.yaml:5: unknown key 'netwerk'; did you mean 'network'?",
    ]
    Path("parts/node.yaml").write_text("a: [")
    (told,) = faults(edited(("dgx-h100", "parts/node.yaml")))
    assert told.startswith(f"{parts}/node.yaml:1: is not valid YAML: ")


def test_a_node_file_that_is_right_is_read():
    Path("node.yaml").write_text(
        "name: N\ndevice: h100-sxm\ndevices: 4\nlinks: [{between: [host, device], kind: k, bandwidth: 64 GB/s, latency: 1 us}]\nnetwork: ndr-rail\n"
    )
    assert faults(edited(("dgx-h100", "node.yaml"))) == []
    assert (
        faults(edited(("dgx-h100", "node.yaml")), sets=("cluster.pools[0].node.devices=2",)) == []
    )


def test_lengths_from_a_file_are_checked_by_line(tmp_path: Path):
    text = edited(
        ("output_tokens: 100", "output_tokens: {distribution: empirical, path: l.csv}"),
        ("seed: 3", "seed: x"),
    )
    seed = "x.yaml:2: seed: got 'x'; expected a whole number"
    for lengths, message in [
        (
            b"tokens\n5\n-1\n",
            f"{tmp_path}/l.csv:3: got '-1'; expected a whole number of tokens from 1 on",
        ),
        (b"tokens\n", f"{tmp_path}/l.csv: the file has no lengths; write one number per line"),
        (
            b"5\n" + b"9" * 5000,
            f"{tmp_path}/l.csv:2: got '{'9' * 60}…'; expected a whole number of tokens from 1 on",
        ),
        (b"\xff\n", f"{tmp_path}/l.csv: is not UTF-8 text (byte 0)"),
    ]:
        Path("l.csv").write_bytes(lengths)
        assert faults(text) == [seed, message]
    Path("l.csv").unlink()
    assert faults(text) == [seed, "x.yaml:8: workload.output_tokens.path: no file 'l.csv'"]


# --- traces
#
# -------------------------------------------------------------------------------------------------------------

TRACED = edited(
    (BASE[BASE.index("  arrivals") : BASE.index("slo")], "  trace: {format: azure, path: t.csv}\n"),
    ("duration: 60 s\n", ""),
)
HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\n"
AT = "2023-11-16 18:17:0"
ROWS = f"{HEADING}{AT}3.9799600,100,10\n{AT}4.0319600,50,5\n"


def test_a_trace_that_is_missing_or_stands_beside_arrivals_is_told():
    assert faults(TRACED) == [
        "x.yaml:5: workload.trace.path: no file 't.csv'; name one with --set workload.trace.path=FILE"
    ]
    Path("t.csv").write_text(ROWS)
    assert faults(TRACED) == []
    assert faults(edited(("workload:", "workload:\n  trace: {path: t.csv}"))) == [
        f"x.yaml:{line}: workload.{key}: a trace brings its own '{key}'; expected either '{key}' or 'trace'"
        for line, key in ((7, "arrivals"), (8, "prompt_tokens"), (9, "output_tokens"))
    ]
    assert faults(TRACED.replace("azure", "burst")) == [
        "x.yaml:5: workload.trace.format: got 'burst'; did you mean 'burstgpt'?"
    ]
    assert faults(TRACED.replace("t.csv", "t.csv, limit: 0")) == [
        "x.yaml:5: workload.trace.limit: got 0; expected more than 0"
    ]


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", "", "is empty; expected a trace with a heading and rows"),
        (HEADING, "", "has no requests"),
        ("time,ContextTokens\n1,2\n", ":1", "has no column TIMESTAMP, GeneratedTokens; got columns time, ContextTokens; expected TIMESTAMP,ContextTokens,GeneratedTokens, or no format and columns: {arrival: time, prompt: ContextTokens, output: …}"),
        (f"{ROWS}{AT}5.0,-7,3\n", ":4", f"got '{AT}5.0,-7,3'; expected TIMESTAMP,ContextTokens,GeneratedTokens (ContextTokens is '-7': negative)"),
        (f"{ROWS}{AT}5.0,1\n", ":4", f"got '{AT}5.0,1'; expected TIMESTAMP,ContextTokens,GeneratedTokens (2 fields, but the heading has 3)"),
        (f"{ROWS}{AT}5.0,x,1\n", ":4", f"got '{AT}5.0,x,1'; expected TIMESTAMP,ContextTokens,GeneratedTokens (ContextTokens is 'x': not a number)"),
        (f"{ROWS}yesterday,1,1\n", ":4", "got 'yesterday,1,1'; expected TIMESTAMP,ContextTokens,GeneratedTokens"),
        (f"{ROWS}2023-11-16 18:17:nan,1,1\n", ":4", "got '2023-11-16 18:17:nan,1,1'; expected TIMESTAMP,ContextTokens,GeneratedTokens, with times such as 2026-10-25 13:30:00.5, or numbers"),
        (f"{ROWS}{AT}5.0,{'9' * 30},1\n", ":4", f"got '{AT}5.0,{'9' * 30},1'; expected TIMESTAMP,ContextTokens,GeneratedTokens (ContextTokens is '{'9' * 30}': more than 1,000,000,000)"),
        (f"{ROWS}\0\n", ":4", "has a NUL byte, which texts never have; expected CSV or JSON"),
        (f"{ROWS}{AT}5.0,1,1,{'x' * 200_000}\n", ":4", "has a field of more than 131,072 characters; expected a closing quote"),
    ],
)  # fmt: skip
def test_a_malformed_trace_names_its_line_when_checked_and_when_simulated(
    text: str, line: str, message: str, tmp_path: Path
):
    Path("t.csv").write_text(text)
    Path("x.yaml").write_text(TRACED)
    scenario = cluster_sim.load_scenario("x.yaml")
    assert scenario.workload.trace is not None
    for read in (scenario.workload.trace.check, lambda: cluster_sim.simulate(scenario)):
        with pytest.raises(ScenarioError) as told:
            read()
        assert str(told.value) == f"{tmp_path}/t.csv{line}: {message}"


# --- never another exception
# ----------------------------------------------------------------------------------------------

SCALARS = ["", "~", "-1", "0", "1e400", ".nan", "-.inf", "true", "1.5", "99999999999999999999", "x", "5 kg", "8 TB", "0 s", "1e-320 s", "'", "[", "{", "*a", "&a x", "!x y", "<<", "\t", "|", "? a", "é", "null", "[]", "{}", "- x", "2024-01-01", "0x1F", "~/x.yaml", ".", "llama-3.1-405b", "cs-3", "1e308 B", "a: b", "%", "@"]  # fmt: skip


def _mutated(rng: random.Random) -> str:
    lines = (BASE + "variants:\n  a: {}\n  b: {seed: 4}\n").splitlines()
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(lines))
        match rng.randrange(6):
            case 0:
                del lines[at]
            case 1:
                lines.insert(rng.randrange(len(lines)), lines[at])
            case 2:
                lines[at] = lines[at].partition(":")[0] + ": " + rng.choice(SCALARS)
            case 3:
                lines[at] = re.sub(
                    r"(: )[^:,}]+", lambda found: found[1] + rng.choice(SCALARS), lines[at], count=1
                )
            case 4:
                lines.insert(at, " " * rng.randrange(9) + rng.choice(SCALARS))
            case _:
                place = rng.randrange(len(lines[at]) + 1)
                lines[at] = (
                    lines[at][:place]
                    + rng.choice("{}[]:,-#&*!|>'\"%@` \t0z")
                    + lines[at][place + rng.randrange(2) :]
                )
        if not lines:
            break
    return "\n".join(lines) + "\n"


@pytest.mark.slow
@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32))
def test_a_scenario_with_any_slip_of_the_pen_is_read_or_told_off(seed: int):
    faults(_mutated(random.Random(seed)))


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.text(max_size=80),
        st.binary(max_size=80),
        st.text("{}[]:,-#&*!|>'\"%@` \t\n?<a01.~", max_size=40),
    )
)
def test_any_bytes_are_no_scenario(text: str | bytes):
    Path("x.yaml").write_bytes(
        text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
    )
    with pytest.raises(ScenarioError):
        cluster_sim.load_variants("x.yaml")


def test_a_config_json_in_place_of_a_scenario_is_one_fault(tmp_path: Path):
    path = tmp_path / "config.json"
    path.write_text('{"architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "vocab_size": 7}')
    with pytest.raises(ScenarioError) as told:
        cluster_sim.load_scenario(path)
    assert str(told.value) == (
        f"{path}: got a model's configuration; expected a scenario, which names it as `model: {path}`"
    )


@pytest.mark.slow
@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.text(max_size=30),
        st.builds(
            "{}={}".format,
            st.sampled_from(
                [
                    "seed",
                    "model",
                    "cluster.pools[0].nodes",
                    "cluster.pools[0].node",
                    "workload.output_tokens",
                ]
            ),
            st.sampled_from(SCALARS),
        ),
    )
)
def test_any_set_is_applied_or_told_off(assignment: str):
    Path("x.yaml").write_text(BASE)
    with suppress(ScenarioError):
        cluster_sim.load_variants("x.yaml", [], [assignment])
