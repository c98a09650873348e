# docs/: man pages and what they rest on.
