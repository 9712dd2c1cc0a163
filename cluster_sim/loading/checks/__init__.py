"""Checks of a scenario as a whole, whose parts are valid each by itself."""
