"""`python -m tools.linkfault`: see `proxy.py`."""

from tools.linkfault.proxy import main

main()
