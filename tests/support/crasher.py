"""A worker that fails as a bug would."""

raise ValueError("a bug in the worker")
