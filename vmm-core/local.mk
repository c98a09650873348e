# vmm-core/: atoll-core. Its parts are in an archive of their own so that the unit tests can link them.
