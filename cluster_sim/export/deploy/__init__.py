"""Deployments as serve arguments or manifests, and the way back.

`emitted` writes what starts a scenario's pools on vLLM, SGLang, TensorRT-LLM, llm-d or Dynamo.
`read_deployment` reads such a file.
"""

from cluster_sim.export.deploy.reading import Deployed, read_deployment
from cluster_sim.export.deploy.writing import TARGETS, Emitted, check_target, emitted

__all__ = ["TARGETS", "Deployed", "Emitted", "check_target", "emitted", "read_deployment"]
