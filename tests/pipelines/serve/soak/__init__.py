"""The soak: searches, changes, publications and rollbacks for minutes, while processes are killed; see `__main__`."""
