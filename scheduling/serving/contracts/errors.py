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

NODE_ERROR_CODES = (BAD_FRAME, OVERLOADED, CANCELLED, TOO_COSTLY, HELD_UP)

ALONE = "alone"
"""Parameter of a detect request, true where the picture is to be worked on apart from others."""

STOP_PARAMETER = "stop"
"""A request to the describer with this parameter names another one, by its id, that is to be given up."""


class BadFrame(ValueError):
    """A picture or request that no retry makes usable; the text is a sentence for a person."""


class ContractBroken(ValueError):
    """Something from the other end does not have the agreed shape, type or range."""
