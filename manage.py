#!/usr/bin/env python
"""Django's command line for AIVD, in a clone."""

from aivd_web.__main__ import main

if __name__ == "__main__":
    main()
