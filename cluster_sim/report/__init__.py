"""Runs and studies as others read them: pages that open anywhere."""
