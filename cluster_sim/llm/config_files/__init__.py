"""Readers of Hugging Face config.json files, which return the keys of a `Model`.

A file is either read correctly or refused with the name of a key. No key that changes the
architecture is ignored. The readers follow the configuration classes of transformers 5
(`configuration_*.py`). For quantised checkpoints they follow the files of NVIDIA ModelOpt,
compressed-tensors, AMD Quark, torchao, AutoAWQ, GPTQModel, bitsandbytes and HQQ.
"""

from cluster_sim.llm.config_files.files import from_hugging_face, read_model

__all__ = ["from_hugging_face", "read_model"]
