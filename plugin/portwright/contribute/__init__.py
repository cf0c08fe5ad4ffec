"""What leaves the repository: a person's acceptance, and later the pull request."""
