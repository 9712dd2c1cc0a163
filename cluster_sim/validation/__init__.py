"""Validation: measured serving runs, their scenarios, predictions, and errors.

This room fits nothing.
"""

from cluster_sim.validation.case_table import cases_as_csv, measured_cases
from cluster_sim.validation.errors import ErrorRow, as_csv, errors, points
from cluster_sim.validation.fitted import serving_rows
from cluster_sim.validation.markdown import as_markdown
from cluster_sim.validation.measured import METRICS, TTFT_RULE, MeasuredRun
from cluster_sim.validation.measurements import (
    IMPOSSIBLE,
    REFERENCE,
    REPEATED,
    Measurements,
    read_measurements,
)
from cluster_sim.validation.predictions import Prediction, predict, predict_all
from cluster_sim.validation.releases import Release, release_of
from cluster_sim.validation.row_rules import RULES
from cluster_sim.validation.setup import scenario_of
from cluster_sim.validation.table_rows import COLUMNS

__all__ = [
    "COLUMNS",
    "IMPOSSIBLE",
    "METRICS",
    "REFERENCE",
    "REPEATED",
    "RULES",
    "TTFT_RULE",
    "ErrorRow",
    "MeasuredRun",
    "Measurements",
    "Prediction",
    "Release",
    "as_csv",
    "as_markdown",
    "cases_as_csv",
    "errors",
    "measured_cases",
    "points",
    "predict",
    "predict_all",
    "read_measurements",
    "release_of",
    "scenario_of",
    "serving_rows",
]
