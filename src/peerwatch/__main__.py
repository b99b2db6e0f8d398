"""`python -m peerwatch`."""

from peerwatch.cli.main import main

if __name__ == "__main__":
    main()
