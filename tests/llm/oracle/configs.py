"""Configurations of all families."""

from tests.llm.oracle import configs_mixed, configs_read

CONFIGS = configs_read.CONFIGS | configs_mixed.CONFIGS
"""Configurations by family."""
