"""One module a verb of the command line: `arguments(parser)` declares its options, `run(args)` does it."""
