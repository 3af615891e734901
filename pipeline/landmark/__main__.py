"""`landmark` and `python -m landmark`."""

from landmark.core.signals import end_on_signals


def main() -> None:
    """Run the command line; a signal ends it from its first imports until the interpreter has closed."""
    end_on_signals()
    from landmark.cli import main as run

    run()


if __name__ == "__main__":
    main()
