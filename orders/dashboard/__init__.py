"""The numbers of the dashboard "Today", and the geometry of its bars."""
