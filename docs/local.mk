# docs/: what is not a man page. Man pages stand beside the program that they are of, in its folder's local.mk.
EXTRA_DIST += docs/adding-a-device.md docs/architecture.md docs/security.md docs/control-wire.md docs/queue-wire.md docs/register-wire.md docs/restart.md
