"""Checks of a scenario as a whole: what can be wrong although each of its parts is right."""
