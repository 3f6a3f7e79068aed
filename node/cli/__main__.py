"""`python -m node.cli` is `hypothec`."""

from node.cli import main

main()
