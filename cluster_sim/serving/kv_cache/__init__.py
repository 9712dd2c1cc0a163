"""The KV cache of a replica: blocks, prefix cache, swap space and offload tiers."""
