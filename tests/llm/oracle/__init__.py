"""Configurations written for the tests, and what the libraries' own models of them hold."""
