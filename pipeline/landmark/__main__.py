"""`landmark` and `python -m landmark`."""

from landmark.core.signals import ended_by_signals


def main() -> None:
    """Run the command line; a signal ends it from its first imports on."""
    with ended_by_signals():
        from landmark.cli import main as run

        run()


if __name__ == "__main__":
    main()
