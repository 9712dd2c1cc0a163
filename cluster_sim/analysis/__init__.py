"""Arithmetic on a scenario, its traffic and its network. Nothing is simulated here."""
