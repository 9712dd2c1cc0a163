"""Reader of ServeGen's clients, from which random rows are drawn.

A file has a rate and a distribution of gaps for each client and window of ten minutes.
"""

from __future__ import annotations

import csv
import re
from ast import literal_eval
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import gamma
from pathlib import PurePosixPath

import numpy as np

from cluster_sim.workload.traces.archives import members, names
from cluster_sim.workload.traces.progress import Place
from cluster_sim.workload.traces.rows import MAX_TOKENS, Batch

WINDOW_S = 600.0
_CLIENT = re.compile(r"chunk-(\d+)-(trace\.csv|dataset\.json)\)?$")
_INPUTS = ("input_tokens", "text_tokens", "image_tokens", "audio_tokens", "video_tokens")
_EXPECTED = "start, rate, cv, Gamma or Weibull, shape, scale"


@dataclass(frozen=True)
class _Window:
    """Arrivals of a client in one window."""

    rate_per_s: float
    """Rate of requests [1/s]."""
    family: str
    """Distribution of the gaps: Gamma or Weibull."""
    shape: float
    """Shape of the distribution."""


@dataclass
class _ServeGenClient:
    """Client of ServeGen."""

    windows: dict[float, _Window] = field(default_factory=dict)
    """Windows by their start [s]."""
    tables: dict[float, dict[str, tuple[np.ndarray, np.ndarray]]] = field(default_factory=dict)
    """Lengths and their cumulative probability, by start of the window [s] and kind of length."""

    def table_at(self, time_s: float) -> dict[str, tuple[np.ndarray, np.ndarray]] | None:
        """Return the tables of the last window that began before a time [s], or of the first."""
        begun = [start_s for start_s in self.tables if start_s <= time_s]
        return self.tables[max(begun) if begun else min(self.tables)] if self.tables else None


def is_servegen(path: str) -> bool:
    """Return whether a folder or archive has clients of ServeGen."""
    return any(_CLIENT.search(name) for name in names(path))


def servegen_batches(
    path: str, place: Place, rng: np.random.Generator, start_s: float
) -> Iterator[Batch]:
    """Yield random rows of all clients, window by window from `start_s` on [s].

    Gaps of a client in a window are gamma or Weibull with the published shape, a mean of one over the
    published rate, and a random phase. Published scales are not used: for a client that is silent for
    part of a window they do not give its rate. Lengths are drawn from tables of six hours; the parts
    of a multimodal prompt are drawn independently and added. Windows without a shape, which have few
    arrivals, are Poisson. Raises ScenarioError for a file that is malformed, and for clients without
    lengths.
    """
    clients = _read(path, place)
    mute = [name for name, client in clients.items() if client.windows and not client.tables]
    if mute:
        place.enter(path)
        place.refuse(
            f"has no chunk-{mute[0]}-dataset.json with the lengths of that client"
            + (f" and {len(mute) - 1} more" if len(mute) > 1 else "")
        )
    rngs = dict(zip(clients, rng.spawn(len(clients)), strict=True))
    starts_s = sorted(
        {
            window_s
            for client in clients.values()
            for window_s in client.windows
            if window_s + WINDOW_S > start_s
        }
    )
    for window_s in starts_s:
        drawn = [
            columns
            for name, client in clients.items()
            if (window := client.windows.get(window_s)) is not None
            and (columns := _draw(client, window, window_s, rngs[name])) is not None
        ]
        if drawn:
            times_s, prompts, outputs = (
                np.concatenate(column) for column in zip(*drawn, strict=True)
            )
            whole = Batch(times_s, prompts, outputs, None, np.zeros(len(times_s), dtype=np.int64))
            yield whole.take(np.argsort(times_s, kind="stable"))


def _draw(
    client: _ServeGenClient, window: _Window, window_s: float, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Return times [s], prompts and outputs [tokens] of a client in a window; None if empty."""
    shape, table = window.shape, client.table_at(window_s)
    assert table is not None
    if window.family == "Weibull":
        scale_s = 1.0 / (window.rate_per_s * gamma(1 + 1 / shape))
        straddling_s = scale_s * rng.gamma(1 + 1 / shape) ** (1 / shape)
    else:
        scale_s = 1.0 / (window.rate_per_s * shape)
        straddling_s = rng.gamma(shape + 1.0, scale_s)
    last_s = rng.random() * straddling_s
    pieces = [np.array([last_s])]
    while last_s < WINDOW_S:
        count = int((WINDOW_S - last_s) * window.rate_per_s * 1.1) + 8
        gaps_s = (
            scale_s * rng.weibull(shape, count)
            if window.family == "Weibull"
            else rng.gamma(shape, scale_s, count)
        )
        pieces.append(last_s + np.cumsum(gaps_s))
        last_s = float(pieces[-1][-1])
    times_s = np.concatenate(pieces)
    times_s = times_s[times_s < WINDOW_S]
    if not len(times_s):
        return None
    prompts = np.sum(
        [_drawn(table[key], rng, len(times_s)) for key in _INPUTS if key in table], axis=0
    )
    return window_s + times_s, prompts, _drawn(table["output_tokens"], rng, len(times_s))


def _drawn(
    table: tuple[np.ndarray, np.ndarray], rng: np.random.Generator, count: int
) -> np.ndarray:
    values, below = table
    return values[np.searchsorted(below, rng.random(count), side="right")]


def _read(path: str, place: Place) -> dict[int, _ServeGenClient]:
    clients: dict[int, _ServeGenClient] = {}
    for name, text in members(path):
        if (match := _CLIENT.search(PurePosixPath(name).name)) is None:
            continue
        place.enter(name)
        client = clients.setdefault(int(match[1]), _ServeGenClient())
        if match[2] == "trace.csv":
            _read_windows(text, place, client)
        else:
            _read_tables(text, place, client)
    return dict(sorted(clients.items()))


def _read_windows(text: str, place: Place, client: _ServeGenClient) -> None:
    reader = csv.reader(text.splitlines())
    place.follow(lambda: reader.line_num)
    for row in reader:
        if not row:
            continue
        try:
            start_s, rate_per_s, family = float(row[0]), float(row[1]), row[3]
            shape = float(row[4]) if family else 1.0
            if not (
                0.0 <= start_s < 1e9
                and 0.0 <= rate_per_s < 1e6
                and family in ("Gamma", "Weibull", "")
                and 1e-3 < shape < 1e9
            ):
                raise ValueError
        except (ValueError, IndexError):
            place.refuse_text(",".join(row), _EXPECTED)
        if rate_per_s:
            client.windows[start_s] = _Window(rate_per_s, family or "Gamma", shape)


def _read_tables(text: str, place: Place, client: _ServeGenClient) -> None:
    try:
        document = literal_eval(text)
        for start, texts in document.items():
            table: dict[str, tuple[np.ndarray, np.ndarray]] = {}
            for key in (*_INPUTS, "output_tokens"):
                if key in texts and (
                    probabilities := literal_eval(texts[key])
                    if isinstance(texts[key], str)
                    else texts[key]
                ):
                    values, weights = (
                        np.array(list(probabilities), dtype=np.int64),
                        np.array(list(probabilities.values()), dtype=float),
                    )
                    if (
                        np.min(values) < 0
                        or np.max(values) > MAX_TOKENS
                        or not 0.0 < float(np.sum(weights)) < 1e9
                    ):
                        raise ValueError
                    below = np.cumsum(weights) / np.sum(weights)
                    below[-1] = 1.0
                    table[key] = values, below
            if "output_tokens" in table and len(table) > 1:
                client.tables[float(start)] = table
    except (
        ValueError,
        SyntaxError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        MemoryError,
    ):
        place.refuse_text(
            text[:80],
            '{"0": {"input_tokens": "{tokens: probability}", "output_tokens": "{tokens: probability}"}}',
        )
