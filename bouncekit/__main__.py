"""`python -m bouncekit`: the command line."""

from _bouncekit import main

main()
