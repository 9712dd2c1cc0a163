"""All configurations by family."""

from tests.llm.oracle.configs_further import CONFIGS as OTHERS
from tests.llm.oracle.configs_mixed import CONFIGS as MIXED
from tests.llm.oracle.configs_read import CONFIGS as READ
from tests.llm.oracle.configs_sparse import CONFIGS as SPARSE

CONFIGS = READ | MIXED
"""Configurations of families that are read."""
FURTHER = {family: config for family, config in (SPARSE | OTHERS).items() if family not in CONFIGS}
"""Configurations of families that have no reader of their own yet."""
