"""``python -m engine`` and ``metapt`` are the command line."""

import sys


def main() -> None:
    """Run the command line; Ctrl-C while it is still being loaded ends it, too."""
    try:
        from engine.cli import main as command_line
    except KeyboardInterrupt:
        sys.exit(130)
    command_line()


if __name__ == "__main__":
    main()
