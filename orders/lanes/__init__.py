"""The lifecycle chart: from the items of a history to the geometry of its lanes. Pure."""
