"""A worker that imports a source's code and asks it what it could do."""
