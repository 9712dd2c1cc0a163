"""Fits of the constants of hardware, engines and traffic to measurements."""
