# The queue wire: guest memory, virtqueues, vhost-user. The archive is common/local.mk's.
