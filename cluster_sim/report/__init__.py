"""Runs and studies as others read them: pages that open anywhere, traces, and the files of
benchmark clients.
"""
