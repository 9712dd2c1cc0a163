"""Scenarios: everything that one run depends on, as written, in fields and validators."""
