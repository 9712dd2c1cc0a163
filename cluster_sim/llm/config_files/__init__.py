"""config.json files of Hugging Face models -> the keys of a `Model`.

A file is read rightly or refused by name and key; nothing that changes the architecture is passed
over. The readers follow the configuration classes of transformers 5 (`configuration_*.py`), and
for quantised checkpoints the files of NVIDIA ModelOpt, compressed-tensors, AMD Quark, torchao,
AutoAWQ, GPTQModel, bitsandbytes and HQQ.
"""

from cluster_sim.llm.config_files.files import from_hugging_face, read_model

__all__ = ["from_hugging_face", "read_model"]
