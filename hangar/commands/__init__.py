"""One verb, one module: `add_arguments(parser)` and `run(args) -> int`, imported when called."""
