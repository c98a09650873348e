# dev-net/
