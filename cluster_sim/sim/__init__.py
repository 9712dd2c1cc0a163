"""Simulation processes. This is the only room in which simulated time passes and SimPy is used."""
