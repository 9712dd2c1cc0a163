"""From public measurements to the constants of the catalog, and how well those predict."""
