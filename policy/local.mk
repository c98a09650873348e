# policy/: the seccomp policies and their tools; nothing is built here yet.
