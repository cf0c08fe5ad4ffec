"""Judge the ports of a repository from what git holds: no model is run, no code of the repository is imported."""
