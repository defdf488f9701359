"""Doors translate between the outside world and the stories; they never decide."""
