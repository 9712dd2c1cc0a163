"""All configurations by family."""

from tests.llm.oracle.configs_further import CONFIGS as OTHERS
from tests.llm.oracle.configs_mixed import CONFIGS as MIXED
from tests.llm.oracle.configs_read import CONFIGS as READ
from tests.llm.oracle.configs_sparse import CONFIGS as SPARSE

_NO_READER = (
    "gemma3n", "bamba", "falcon_h1", "granitemoehybrid", "zamba", "zamba2", "lfm2", "lfm2_moe", "mamba", "mamba2", "falcon_mamba", "olmo_hybrid",
    "recurrent_gemma", "gpt_neo", "longcat_flash",
)  # fmt: skip
CONFIGS = READ | MIXED | {key: config for key, config in SPARSE.items() if key not in _NO_READER}
"""Configurations of families that are read."""
FURTHER = OTHERS | {family: SPARSE[family] for family in _NO_READER}
"""Configurations of families that have no reader of their own yet."""
