"""Deployments: pools with the models they serve, resolved once, and the table of their replicas."""
