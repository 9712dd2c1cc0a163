"""Configurations of all families beside what the library transformers builds of them.

The figures are those of `oracle/table.csv`, which `benchmarks/count_parameters.py` writes. A
configuration is read with these figures, or refused by its key. The parameters may differ by 1 %:
biases are not simulated.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pytest import approx

from cluster_sim import ScenarioError
from cluster_sim.llm.config_files import from_hugging_face, read_model
from cluster_sim.llm.layers import StateLayers
from cluster_sim.llm.model import Model
from tests.llm.oracle import cases, table
from tests.llm.oracle.configs import CONFIGS, FURTHER
from tests.llm.oracle.mutants import COUNT, Mutant, mutants

REFUSED_TODAY: dict[str, str] = {}
"""Families whose layers are not simulated yet, and the key that the message names."""

READ_THOUGH_THE_LIBRARY_MAKES_NO_MODEL = (
    (r"hunyuan_v1_\w+ .*(bare|without head_dim)|ministral bare|.* head_dim null",
     "heads without a width share the hidden states, as vLLM and the models' own code have it"),
    (r".* (qkv_bias|logits_scaling|clip_qkv|dim_model_base|use_\w+|original_max_position_embeddings|\w+_bias|rotary_\w+|"
     r"query_pre_attn_scalar|n_group|topk_group|(mlp_)?hidden_act(ivation)?|(mamba_)?chunk_size|mamba_norm_before_gate|ssm_multipliers|residual_in_fp32|activation_function) .*|"
     r".* rope_(scaling|parameters)|.* partial_rotary_factor .*",
     "the key changes no size, and its value is not looked at"),
    (r".* ((moe_)?intermediate_size|num_key_value_heads|moe_topk|num_experts_per_tok) a list of 6",
     "one equal value per layer, as Hunyuan's files have it"),
    (r".* hidden_size 1537", "heads have a width of their own, whatever the hidden states are"),
    (r"nemotron 02 without num_key_value_heads", "its class says null, and its documentation: as many as heads"),
    (r"falcon all heads .* with head_dim 112", "the key is read by its attention, and the library's cache fails"),
    (r"gemma2 .* sliding_window null|exaone_moe .* sliding_window 0", "no layer has a window"),
    (r".* n_shared_experts null", "no expert is shared, as the models' own code has it"),
    (r"qwen2_vl flat .* inside llava", "the language model is inside twice"),
    (r"(qwen2_5_omni|kimi_k25|mistral3|llava|llama4|gemma4|minimax_m3_vl|mllama) .* tie_word_embeddings null", "the model around it says it"),
    (r"(glm_moe_dsa|axk1) .* num_key_value_heads null", "latent attention has no heads of keys"),
    (r"step3p7 bare", "without a window the library's masks fail"),
)  # fmt: skip
"""Cases where the library raises and the reading is correct nevertheless, by pattern, with the reason."""

NOT_AS_THE_LIBRARY = (
    (r"longcat_flash .*", "the library keeps gates for experts that compute nothing; published: 560 B"),
    (r"mistral3 bare", "its class ties the embedding, unlike the published models of 23.6 B"),
)  # fmt: skip
"""Cases that are read with other figures than the library's, by pattern, with the reason."""


class Reading(NamedTuple):
    parameters: int
    active: int
    context: int
    kv_values: int
    window_layers: int
    window_tokens: str
    window_values: int
    index_values: int
    state_values: int
    convolution_values: int


def reading(config: dict[str, Any]) -> Reading:
    """Return the figures of a configuration as cluster_sim reads it."""
    model = Model.model_validate(from_hugging_face(config, "x"))
    kinds = model.attention
    windows = [kind for kind in kinds if kind.window_tokens]
    states = [kind for kind in kinds if isinstance(kind, StateLayers)]
    looked_up = model.positions + (0 if model.tied_embeddings else model.vocabulary)
    return Reading(
        model.total_parameters,
        model.active_parameters + looked_up * model.hidden,
        model.max_context,
        sum(round(kind.layers * kind.growing_values()) for kind in kinds),
        sum(kind.layers for kind in windows),
        "+".join(map(str, sorted({kind.window_tokens for kind in windows}))),
        sum(round(kind.layers * kind.window_values()) for kind in kinds),
        sum(round(kind.layers * kind.index_values()) for kind in kinds),
        sum(kind.layers * kind.state_values for kind in states),
        sum(kind.layers * kind.convolution_values for kind in states),
    )


def without_long_windows(read: Reading) -> Reading:
    """Return the figures where a window as long as the context is none."""
    if read.window_tokens.isdigit() and int(read.window_tokens) >= read.context:
        full = read.kv_values + read.window_values
        return read._replace(kv_values=full, window_layers=0, window_tokens="", window_values=0)
    return read


def counted(figures: table.Figures, context: int) -> Reading:
    """Return the figures of the library. A window as long as the context is none."""
    read = Reading(*figures[:-1])._replace(context=figures.context or context)
    return without_long_windows(read)


def refusal(config: dict[str, Any]) -> str:
    """Return why a configuration is refused; nothing where it is read."""
    try:
        Model.model_validate(from_hugging_face(config, "x"))
    except ValueError as fault:
        return str(fault)
    return ""


def names_its_keys(text: str) -> bool:
    """Return whether each line begins with the keys that it is about."""
    key = r"[A-Za-z_][\w.]*"
    return all(
        re.match(rf"{key}(, {key})*( and ({key}|\d+ more))?: ", line) for line in text.splitlines()
    )


def is_right(family: str, case: str, config: dict[str, Any]) -> None:
    """Fail unless a configuration is read as the library builds it, or refused by its keys."""
    figures = table.figures(family, case, config)
    if text := refusal(config):
        assert names_its_keys(text), f"{family}, {case}: {text}"
        return
    name = f"{family} {case}"
    if any(re.fullmatch(one, name) for one, _ in NOT_AS_THE_LIBRARY):
        return
    if figures.fault:
        assert any(re.fullmatch(one, name) for one, _ in READ_THOUGH_THE_LIBRARY_MAKES_NO_MODEL), (
            f"{name}: read, though the library raises {figures.fault}"
        )
        return
    read = without_long_windows(reading(config))
    right = counted(figures, read.context)
    assert read[2:] == right[2:], name
    assert read[:2] == approx(right[:2], rel=0.01), name


@pytest.mark.parametrize("family", CONFIGS)
def test_a_configuration_is_read_as_the_library_builds_it(family: str):
    config = CONFIGS[family]
    text = refusal(config)
    if family in REFUSED_TODAY and text:
        assert text.startswith(REFUSED_TODAY[family])
    else:
        assert not text, "all families of the list are read"
    is_right(family, "whole", config)


@pytest.mark.parametrize("family", FURTHER)
def test_a_family_without_a_reader_of_its_own_is_read_rightly_or_refused(family: str):
    config = FURTHER[family]
    is_right(family, "whole", config)
    is_right(family, "bare", cases.bare(config))
    is_right(family, "saved", cases.saved()[family])


@pytest.mark.parametrize("family", CONFIGS)
def test_what_a_file_leaves_out_is_the_default_of_its_family(family: str):
    is_right(family, "bare", cases.bare(CONFIGS[family]))


@pytest.mark.parametrize("family", CONFIGS)
def test_who_saved_a_file_does_not_change_what_is_read(family: str):
    saved = cases.saved()[family]
    is_right(family, "saved", saved)
    assert reading(saved) == reading(CONFIGS[family])


@pytest.mark.slow
@pytest.mark.parametrize("family", CONFIGS)
def test_a_single_change_is_read_rightly_or_refused_by_its_key(family: str):
    made = mutants(family, CONFIGS[family])
    assert len(made) == COUNT
    for mutant in made:
        is_right(family, mutant.name, mutant.config)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_refusal_names_the_file_and_the_key(family: str, tmp_path: Path):
    made = mutants(family, CONFIGS[family])
    config = next(mutant.config for mutant in made if refusal(mutant.config))
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config))
    with pytest.raises(ScenarioError) as told:
        read_model(str(path))
    assert str(told.value).splitlines() == [
        f"{path}: {line}" for line in refusal(config).splitlines()
    ]


def test_mutants_are_the_same_at_every_call_and_differ_from_their_origin():
    first, again = (mutants("llama", CONFIGS["llama"]) for _ in range(2))
    assert first == again
    assert all(isinstance(one, Mutant) and one.config != CONFIGS["llama"] for one in first)
    assert len({table.digest(one.config) for one in first}) == COUNT


def test_every_case_has_a_row_and_every_row_a_case():
    keys = {(family, case, table.digest(config)) for family, case, config in cases.all_cases()}
    assert keys == set(table.read())


def test_reasons_are_still_needed():
    names = [
        f"{family} {case}" for (family, case, _), figures in table.read().items() if figures.fault
    ]
    for pattern, _ in READ_THOUGH_THE_LIBRARY_MAKES_NO_MODEL:
        assert any(re.fullmatch(pattern, name) for name in names), pattern
