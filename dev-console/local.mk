# dev-console/
