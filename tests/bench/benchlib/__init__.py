"""The parts of tests/bench/bench, one subject a module; bench itself says what is measured and in which order."""
