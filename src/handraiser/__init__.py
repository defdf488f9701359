"""Handraiser puts service messages and signed opt-in links into transactional emails, and keeps the consent."""

__version__ = "0.1.0"
