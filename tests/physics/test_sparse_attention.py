"""Sparse attention: lines by mental arithmetic."""

from __future__ import annotations

from pytest import approx

from cluster_sim.hardware.sparse_fit import SparseAttentionFit
from cluster_sim.physics.sparse_attention import (
    SparseShape,
    sparse_decode_line,
    sparse_prefill_line,
    sparse_roofline,
)

# DeepSeek-V3.2 on one device: 128 heads over latent vectors of 512 + 64 values in 8 bit, 64 index
# heads of 128
SHAPE = SparseShape(
    heads=128,
    key_bytes=576.0,
    key_flop=128 * 2 * (576 + 512),
    dense_flop=128 * 2 * (192 + 128),
    index_bytes=132.0,
    index_flop=64 * 2 * 128,
)
SHARED = SHAPE._replace(index_bytes=0.0, index_flop=0.0)
FIT = SparseAttentionFit.model_construct(
    start_s=10e-6,
    sequence_s=1e-7,
    head_s=1e-9,
    bandwidth_bytes_per_s=5.76e12,
    compute_flop_per_s=1e15,
    index_start_s=5e-6,
    select_s=20e-6,
    index_bandwidth_bytes_per_s=1.32e12,
    half_sequences=4.0,
    prompt_start_s=50e-6,
    prompt_token_s=1e-9,
    prompt_head_s=1e-11,
    prompt_bandwidth_bytes_per_s=5.76e12,
    prompt_compute_flop_per_s=1e15,
    expand_s=1e-12,
    prompt_select_s=30e-6,
    index_compute_flop_per_s=1e15,
    index_extra_tokens=64.0,
)


def test_decoding_reads_index_keys_of_the_whole_context_and_the_chosen_ones() -> None:
    """132 B at 1.32 TB/s are 100 ps, twice that for 4 sequences; 278,528 FLOP are 279 ps."""
    line = sparse_decode_line(FIT, SHAPE, 4)
    assert line.index_key_s == approx(200e-12)
    assert line.limited_key_s == approx(278.5e-12, rel=1e-3)
    # 10 + 5 + 20 us, 4 x 0.1 us, and 512 heads of 1 ns
    assert line.fixed_s == approx(35e-6 + 0.4e-6 + 0.512e-6)


def test_few_heads_wait_for_memory_in_decoding() -> None:
    few = SHAPE._replace(heads=8, key_flop=8 * 2 * 1088)
    assert sparse_decode_line(FIT, few, 4).limited_key_s == approx(100e-12)


def test_nothing_is_chosen_among_few_keys() -> None:
    line = sparse_decode_line(FIT, SHAPE, 4, selecting=False)
    assert line.index_key_s == 0.0
    assert sparse_decode_line(FIT, SHAPE, 4).fixed_s - line.fixed_s == approx(20e-6)


def test_a_layer_whose_keys_another_one_chose_has_no_indexer() -> None:
    line = sparse_decode_line(FIT, SHARED, 4)
    assert line.index_key_s == 0.0
    assert sparse_decode_line(FIT, SHAPE, 4).fixed_s - line.fixed_s == approx(25e-6)
    prompts = sparse_prefill_line(FIT, SHARED)
    assert prompts.index_pair_s == prompts.key_s == 0.0
    assert prompts.fixed_s == approx(50e-6)


def test_prompts_count_index_pairs_and_chosen_pairs() -> None:
    """16,384 FLOP at 1 PFLOP/s are 16 ps, and 278,528 are 279 ps."""
    line = sparse_prefill_line(FIT, SHAPE)
    assert line.index_pair_s == approx(16.4e-12, rel=0.01)
    assert line.limited_pair_s == approx(278.5e-12, rel=1e-3)
    assert line.key_s == approx(64 * line.index_pair_s)
    assert line.token_s == approx(1e-9 + 128e-11)


def test_short_prompts_spell_out_their_keys() -> None:
    """128 heads of 320 values are 81,920 FLOP a pair, and each key costs 1 ps a head."""
    line = sparse_prefill_line(FIT, SHAPE, selecting=False)
    assert line.index_pair_s == 0.0
    assert line.limited_pair_s == approx(81.9e-12, rel=1e-3)
    assert line.key_s == approx(128e-12)
    assert line.fixed_s == approx(50e-6)


def test_a_roofline_has_no_starts() -> None:
    line = sparse_decode_line(sparse_roofline(1e12, 1e15), SHAPE, 64)
    assert line == (0.0, approx(132e-12), approx(576e-12))
    prompts = sparse_prefill_line(sparse_roofline(1e12, 1e15), SHAPE)
    assert prompts.limited_pair_s == approx(278.5e-12, rel=1e-3)
