"""Prices of machines, and the cost per hour that follows from them."""
