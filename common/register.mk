# The register wire: vfio-user. The archive is common/local.mk's.
