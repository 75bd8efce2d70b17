"""One process' view of the fleet: what is placed, what it holds on the nodes, how they are. Knows no database."""
