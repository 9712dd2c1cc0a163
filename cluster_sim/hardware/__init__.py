"""Descriptions of machines: devices, memories, kernels, power, cooling, nodes and networks."""
