"""`landmark` and `python -m landmark`."""

import sys

from landmark.core.signals import end_on_signals


def main() -> None:
    """Run the command line; a signal ends it from its first imports until the interpreter has closed."""
    end_on_signals()
    try:
        from landmark.cli.main import main as run
    except Exception as error:  # no memory for a library, or an invalid environment variable
        from landmark.cli.failures import describe_failure

        message, code = describe_failure(error)
        print(f"error: {message}", file=sys.stderr)
        sys.exit(code)
    run()


if __name__ == "__main__":
    main()
