# tests/guest/
