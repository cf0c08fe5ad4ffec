"""`python -m portwright` is the `portwright` command."""

from .cli import main

raise SystemExit(main())
