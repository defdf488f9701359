"""MJML source in, emails out.

The face: :func:`compile.compile_page` and :func:`compile.compile_block` make programs at publish
time, in isolation; :class:`fill.Engine` loads them and fills them, with no MJML and no Jinja left to run.
"""
