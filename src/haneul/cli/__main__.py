"""`python -m haneul.cli`, which is what `./haneul` runs."""

from haneul.cli.main import main

if __name__ == "__main__":
    main()
