"""Constants of hardware and engines, fitted to measurements."""
