"""Engine settings of measured runs that differ from the engine profiles."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

from cluster_sim.errors import ScenarioError
from cluster_sim.validation.table_rows import Row

FLAGS = "engine_flags.csv"
"""Name of a file of engine settings; it is found beside a table of measurements."""
_COLUMNS = ("dataset", "hardware", "model", "framework", "date", "setting", "value")

_TTFT = frozenset(f"ttft{statistic}_ms" for statistic in ("", "_p50", "_p90", "_p99"))
_TPOT = frozenset(f"tpot{statistic}_ms" for statistic in ("", "_p50", "_p90", "_p99"))
_TIMES = _TTFT | _TPOT | {"output_per_s", "user_per_s"}
_EFFECTS: dict[str, frozenset[str]] = {
    "attention-config.use_trtllm_attention=not set": frozenset(),  # the default
    # set up, but for the kernel of prefill: four times its time moves TTFT of the runs that have the
    # setting by 5 points at most, and by 8 to 12 with a full KV cache
    "attention-config.use_trtllm_attention=0": frozenset(),
    "stream_interval": frozenset(),  # first and last token, and so TTFT and TPOT, are as without
    "median ITL / mean TPOT": _TTFT,
    "chunked_prefill_size": frozenset(),  # set up, see `stated_settings`
    "mem_fraction_static": frozenset(),  # set up
    "CUDA graph reserve": frozenset({"kv_tokens"}),
    "largest CUDA graph": frozenset(),  # set up
    "max batch size of trtllm-bench": frozenset(),  # set up
}
"""Metrics that a setting changes although the set-up of the run does not have it, by `setting` or
`setting=value`. All times, if the setting is not listed."""


class Setting(NamedTuple):
    """One engine setting of measured runs; `all` matches everything."""

    dataset: str
    hardware: str
    model: str
    framework: str
    date: str
    setting: str
    value: str

    @property
    def name(self) -> str:
        """Setting with its value, as tables of errors show it."""
        return f"{self.setting}={self.value}"

    @property
    def changes(self) -> frozenset[str]:
        """Metrics that the setting changes although the set-up does not have it."""
        return _EFFECTS.get(self.name, _EFFECTS.get(self.setting, _TIMES))

    def is_of(self, row: Row) -> bool:
        """Return whether the run of a row has the setting; a run without a date may have it."""
        names = ("dataset", "hardware", "model")
        return (
            all(getattr(self, name) in ("all", row[name]) for name in names)
            and (self.framework == "all" or row["framework"].startswith(self.framework))
            and _is_of_date(row["date"], self.date)
        )


def read_flags(path: Path) -> tuple[Setting, ...]:
    """Read a CSV file of engine settings; a row with several settings has them apart by `; `.

    Parameters
    ----------
    path
        Path of the file.

    Raises
    ------
    ScenarioError
        The file cannot be read, or lacks columns.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        reason = getattr(fault, "strerror", None) or fault
        raise ScenarioError.at(str(path), f"cannot be read: {reason}") from fault
    settings = []
    for number, row in enumerate(rows, 2):
        if missing := [name for name in _COLUMNS if row.get(name) is None]:
            raise ScenarioError.at(f"{path}:{number}", f"lacks {', '.join(missing)}")
        names, values = row["setting"].split("; "), row["value"].split("; ")
        if len(names) != len(values):
            raise ScenarioError.at(
                f"{path}:{number}",
                f"value: got {len(values)} values; expected {len(names)}, one per setting",
            )
        settings += [
            Setting(**{column: row[column] for column in _COLUMNS[:5]}, setting=name, value=value)
            for name, value in zip(names, values, strict=True)
        ]
    return tuple(settings)


def _is_of_date(date: str, stated: str) -> bool:
    """Return whether a date, such as 2026-03-25, lies in what is stated: a date, or years."""
    first, _, last = stated.partition("-")
    if len(first) == len(last) == 4:
        return not date or first <= date[:4] <= last
    return date.startswith(stated) or stated.startswith(date)
