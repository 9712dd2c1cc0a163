"""Reports: HTML pages about runs and studies that need no network."""
