"""Blocks put into HTML and MIME that we did not write: one insertion, everything else as it was."""
