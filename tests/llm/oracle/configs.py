"""Configurations of all families."""

from tests.llm.oracle import (
    configs_attention,
    configs_further,
    configs_mixed,
    configs_read,
    configs_states,
    configs_windows,
)

CONFIGS = (
    configs_read.CONFIGS
    | configs_mixed.CONFIGS
    | configs_attention.CONFIGS
    | configs_windows.CONFIGS
)
"""Configurations of families that are read, by family."""
FURTHER = {
    family: config
    for family, config in (configs_states.CONFIGS | configs_further.CONFIGS).items()
    if family not in CONFIGS
}
"""Configurations of families that have no reader of their own yet, by family."""
