"""What goes wrong between a node and its clients: in-band, as the text of a Triton error, `<code>: <sentence>`."""

BAD_FRAME = "bad_frame"
"""The picture or the request's content cannot be used; sending it again changes nothing."""

OVERLOADED = "overloaded"
"""The node's own queue is full; another node may take it."""

CANCELLED = "cancelled"
"""Whoever asked went away before the work began or ended."""

TOO_COSTLY = "too_costly"
"""This picture alone takes longer than a node may give it. After two nodes said so it is the picture's."""

HELD_UP = "held_up"
"""One of the pictures that were worked on together takes too long, and the node cannot say which: ask again alone."""

VERSION_MISSING = "version_missing"
"""The node does not have the version that was asked for; bring it, and ask again."""

VERSION_REFUSED = "version_refused"
"""The node cannot serve the version: its files are damaged, do not fit the node's model, or are not what is taken."""

NODE_ERROR_CODES = (BAD_FRAME, OVERLOADED, CANCELLED, TOO_COSTLY, HELD_UP, VERSION_MISSING, VERSION_REFUSED)

ALONE = "alone"
"""Parameter of a detect request, true where the picture is to be worked on apart from others."""

VERSION_PARAMETER = "version"
"""Parameter of a request: the digest of the version that is to answer it. Without it the node's own model answers."""

BRING_PARAMETER = "bring"
"""A request to the describer with this parameter brings a part of the version of that digest; see `BringStep`."""

STOP_PARAMETER = "stop"
"""A request to the describer with this parameter names another one, by its id, that is to be given up."""


class BadFrame(ValueError):
    """A picture or request that no retry makes usable; the text is a sentence for a person."""


class ContractBroken(ValueError):
    """Something from the other end does not have the agreed shape, type or range."""
