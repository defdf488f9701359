"""MJML source in, compiled templates out: lint, tokens, compile, derive the text part, fill."""
