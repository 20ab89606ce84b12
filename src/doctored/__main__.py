"""`python -m doctored` is the `doctored` command."""

from doctored.apps.cli import main

if __name__ == "__main__":
    main()
