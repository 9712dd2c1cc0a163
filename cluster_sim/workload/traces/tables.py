"""Tables: CSV with any delimiter, Parquet, and JSON rows, whose columns are found by their names.

Azure 2023 and 2024, BurstGPT, Vidur and splitwise-sim differ in the names of three columns; a
scenario may name those of any other table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from cluster_sim.errors import ScenarioError
from cluster_sim.workload.traces.column_values import (
    ColumnNumbers,
    ColumnSessions,
    ColumnTimes,
    array_of,
)
from cluster_sim.workload.traces.csv_rows import (
    Heading,
    RowReader,
    TextRows,
    csv_batches,
    heading_of,
    line_of,
)
from cluster_sim.workload.traces.found_columns import FoundColumns, found_columns
from cluster_sim.workload.traces.iso_times import iso_times
from cluster_sim.workload.traces.json_rows import KeyedRows, keyed_batches
from cluster_sim.workload.traces.known_names import known_columns
from cluster_sim.workload.traces.recognise import beginning
from cluster_sim.workload.traces.rows import AT_A_TIME, NONE, Batch, Links, batch_of_columns
from cluster_sim.workload.traces.source import TraceSource
from cluster_sim.workload.traces.table_layouts import TableLayout
