"""Correlated lengths of prompts and answers."""

from __future__ import annotations

from math import pi, sin, sqrt

import numpy as np


def in_rank_order(
    prompts: np.ndarray, outputs: np.ndarray, spearman: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return both columns in an order with the mean rank correlation `spearman`.

    The method is a Gaussian copula by ranks (Iman, Conover, Communications in Statistics B 11(3),
    1982). Pairs of normal scores with correlation 2·sin(π·ρ/6) (Pearson 1907) give the ranks. Both
    columns keep their values, and so their distributions.

    Parameters
    ----------
    prompts, outputs
        Lengths, one row per request [tokens].
    spearman
        Rank correlation, from -1 to 1.
    rng
        Random generator of the order.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> prompts, outputs = in_rank_order(np.array([1, 3, 2]), np.array([7, 9, 8]), 1.0, rng)
    >>> (outputs - prompts).tolist()
    [6, 6, 6]
    """
    correlation = 2.0 * sin(pi * spearman / 6.0)
    scores = rng.standard_normal((2, len(prompts)))
    scores[1] = correlation * scores[0] + sqrt(max(1.0 - correlation**2, 0.0)) * scores[1]
    ranks = np.argsort(np.argsort(scores, axis=1), axis=1)
    return np.sort(prompts)[ranks[0]], np.sort(outputs)[ranks[1]]
