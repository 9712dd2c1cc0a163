"""Feed-forward parts without gate, and parts of weights in precisions of their own."""

from __future__ import annotations

from typing import Any

import pytest
from pytest import approx

from cluster_sim.hardware.precision import Precision
from cluster_sim.llm.layers import Experts
from cluster_sim.llm.model import Model
from cluster_sim.llm.model_shape import WeightPart
from cluster_sim.physics.elementwise import ffn_passes
from cluster_sim.physics.kv_sizes import state_bytes
from cluster_sim.physics.model_parts import parts_of
from cluster_sim.physics.transformer import linear_flop_per_token, step_weight_bytes
from tests.layer_oracle import KINDS

DENSE = Model(
    name="x", layers=4, hidden=1024, heads=8, kv_heads=8, head_dim=128, ffn=4096, vocabulary=1000, max_context=8192
)  # fmt: skip
MIXTURE = DENSE.model_copy(
    update={"experts": Experts(count=64, top_k=4, shared=1, ffn=512, dense_layers=1)}
)


def test_a_token_passes_two_matrices_where_there_is_no_gate():
    plain = DENSE.model_copy(update={"ffn_gated": False})
    matrix = 1024 * 4096
    assert linear_flop_per_token(DENSE) - linear_flop_per_token(plain) == 2.0 * 4 * matrix
    gated_bytes, plain_bytes = (step_weight_bytes(one, "bf16", 1) for one in (DENSE, plain))
    assert gated_bytes - plain_bytes == 2 * 4 * matrix
    assert (ffn_passes(DENSE), ffn_passes(plain)) == (3, 2)


HYBRID = Model.model_validate(
    {
        "name": "x", "layers": 12, "hidden": 64, "vocabulary": 256, "max_context": 4096, "ffn_gated": False,
        "attention_layers": [KINDS[name] | {"layers": 2} for name in ("full", "mamba2", "kda")],
        "dense": [{"layers": 2, "ffn": 128}, {"layers": 1, "ffn": 64}],
        "experts": {"count": 8, "top_k": 2, "ffn": 32, "shared": 1, "shared_ffn": 96, "latent": 16, "layers": 3},
    }
)  # fmt: skip
"""Layers as in Nemotron 3: attention and states, or a feed-forward part, each a layer."""


def test_a_hybrid_has_the_weights_of_its_blocks():
    """Experts: 3 layers of 8 x 2 x 16 x 32 routed and 64 x 8 of a router; dense 2 x 64 x 128 twice
    and 2 x 64 x 64; shared 2 x 64 x 96 and 2 x 64 x 16 to the latent space and back.
    """
    experts = 3 * (8 * 2 * 16 * 32 + 64 * 8)
    assert HYBRID.moe_layers * (8 * HYBRID.expert_parameters + HYBRID.router_parameters) == experts
    assert HYBRID.ffn_parameters == 2 * 2 * 64 * 128 + 2 * 64 * 64
    assert HYBRID.shared_parameters == 2 * 64 * 96 + 2 * 64 * 16
    assert (HYBRID.mixer_layers, HYBRID.dense_layers, HYBRID.moe_layers, HYBRID.blocks) == (
        6,
        3,
        3,
        12,
    )
    assert sum(part.is_layer for part in parts_of(HYBRID, "bf16", "bf16")) == 6


@pytest.mark.parametrize("gated", [None, True, False])
@pytest.mark.parametrize("weights", ["bf16", "fp8", "fp4"])
@pytest.mark.parametrize(
    "kept",
    [("embedding",), ("embedding", "attention"), ("embedding", "attention", "ffn", "shared"), ("embedding", "experts")],
)  # fmt: skip
def test_the_parts_of_a_model_add_up_to_its_weights(
    gated: bool | None, weights: Precision, kept: tuple[WeightPart, ...]
):
    changes: dict[str, Any] = {"ffn_gated": gated, "kept_bf16": kept, "native": weights}
    for model in (DENSE, MIXTURE, HYBRID):
        made = model.model_copy(update=changes)
        parts = parts_of(made, weights, "bf16")
        assert sum(part.weight_bytes for part in parts) == approx(made.weight_bytes(weights))
        # a token reads and writes the states beside the weights
        met = sum(part.read_bytes for part in parts) - 2.0 * state_bytes(made)
        assert met == approx(step_weight_bytes(made, weights, 1))
        of_states = sum(kind.layers * kind.token_flop for kind in made.attention)
        flop = sum(part.flop for part in parts) - of_states
        assert flop == 2.0 * made.active_parameters


def test_a_gate_that_is_written_is_the_default():
    assert DENSE.model_copy(update={"ffn_gated": True}).total_parameters == DENSE.total_parameters
    assert DENSE.ffn_matrices == 3


def test_bits_of_weights_are_those_of_the_published_precision_alone():
    int4 = DENSE.model_copy(update={"native": "fp4", "fp4_format": "int4", "weight_bits": 4.125})
    assert int4.bytes_per_parameter("fp4", "ffn") == 4.125 / 8
    assert int4.bytes_per_parameter("fp8", "ffn") == 1.0
    assert int4.bytes_per_parameter("fp4", "embedding") == 2.0
