"""Configurations of all families."""

from tests.llm.oracle import configs_attention, configs_mixed, configs_read

CONFIGS = configs_read.CONFIGS | configs_mixed.CONFIGS | configs_attention.CONFIGS
"""Configurations by family."""
