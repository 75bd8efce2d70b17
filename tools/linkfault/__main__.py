"""`python -m tools.linkfault`: see `proxy.py`."""

from .proxy import main

main()
