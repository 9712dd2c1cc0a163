"""StepWork: the counts of one engine step, in one spelling for every room."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class StepWork:
    """What one engine step of a replica works on; a scheduler writes it, physics reads it.

    Where tables are computed, counts are numpy arrays: one value per stretch of steps. Names are
    those of the columns of the table of stretches.

    NOTE: it is not frozen. A scheduler owns one and changes it in place before each step, since
    building a new one would cost 0.5 us of the 20 us that a stretch takes.
    """

    batch: int = 0
    """Number of sequences that decode in the step."""
    counted: int = 0
    """Number of those sequences that count for the statistics."""
    growth: float = 0
    """Number of tokens that the step adds to the context of all decoding sequences."""
    context: float = 0
    """Number of keys that decoding sequences read in a layer of full attention."""
    windowed: int = 0
    """Number of keys that decoding sequences read in a layer with a sliding window."""
    growing: int = 0
    """Number of decoding sequences that have yet to fill the window."""
    prompt_tokens: int = 0
    """Number of prompt tokens that the step prefills."""
    sampled: int = 0
    """Number of sequences for which the step samples a token."""
    pairs: int = 0
    """Number of (query, key) pairs of the prompt tokens in a layer of full attention."""
    window_pairs: int = 0
    """Number of (query, key) pairs of the prompt tokens in a layer with a sliding window."""
    pairs_growth: int = 0
    """Number by which `pairs` grows from one step to the next of a stretch."""
