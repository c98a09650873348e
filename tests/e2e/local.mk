# tests/e2e/: bats over whole programs. Misbehaving programs that the tests need are built by `make e2e-helpers`.
E2E_HELPERS =
EXTRA_PROGRAMS += $(E2E_HELPERS)

.PHONY: e2e-helpers
e2e-helpers: $(E2E_HELPERS)
EXTRA_DIST += tests/e2e/install.bats tests/e2e/by-hand.bats
