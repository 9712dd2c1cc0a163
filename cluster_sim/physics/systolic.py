"""Utilisation of systolic arrays by a matrix product, by its shape."""

from __future__ import annotations

from math import ceil

from cluster_sim.hardware.compute import Systolic


def cycles(unit: Systolic, m: float, n: float, k: float) -> float:
    """Return the clock cycles of a matrix product on weight-stationary arrays.

    The weights are cut into F = ceil(k / rows) ceil(n / columns) folds of the size of an array. One
    fold takes

        load + m + rows + columns - 2,    load = rows unless `load_cycles` is given:

    the array loads the weights, one token enters per cycle, and the last token passes all rows and
    columns. The array loads the next fold while tokens of the present one still stream, so each
    further fold takes max(m, load). The arrays share the folds evenly, and the array with the most
    folds counts. The number never falls when m, n or k grows.

    Source: SCALE-Sim, Samajdar et al., ISPASS 2020, equation 3 (2 R + C + T - 2) with the
    weight-stationary mapping of its table; overlapped loading as in the TPU, Jouppi et al., ISCA
    2017.

    Parameters
    ----------
    unit
        Arrays of the device.
    m, n, k
        Numbers of tokens, outputs and inputs of the product, each at least 1.

    Returns
    -------
    float
        Number of cycles.

    Examples
    --------
    >>> cycles(Systolic(rows=128, columns=128), 1000, 128, 128)  # 2 x 128 + 128 + 1000 - 2
    1382.0
    """
    load = unit.load_cycles or unit.rows
    folds = ceil(ceil(k / unit.rows) * ceil(n / unit.columns) / unit.arrays)
    return float((folds - 1) * max(m, load) + load + m + unit.rows + unit.columns - 2)


def utilisation(unit: Systolic, m: float, n: float, k: float) -> float:
    """Return the share of the peak that a matrix product reaches.

    It is the number of multiply-adds of the product divided by the number that its cycles offer.
    With many tokens it is k / (ceil(k / R) R) times n / (ceil(n / C) C), the filled part of the
    arrays. With one token and many folds it is 1 / load. The parameters are those of `cycles`.

    One additional output leaves half of the arrays empty:

    >>> round(utilisation(Systolic(rows=128, columns=128), 1_000_000, 129, 128), 3)
    0.504
    """
    return m * n * k / (unit.arrays * unit.rows * unit.columns * cycles(unit, m, n, k))
