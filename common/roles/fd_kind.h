/*
 * What a descriptor of a process of the family can be: the kinds that the audit tells apart, and that the table of roles says of
 * each process how many it may have of.
 */
#ifndef ATOLL_COMMON_ROLES_FD_KIND_H
#define ATOLL_COMMON_ROLES_FD_KIND_H

enum fd_kind {
	FD_KIND_OTHER, /* nothing that a process of ours has */
	FD_KIND_NULL,
	FD_KIND_LOG, /* 1 and 2: of a child a pipe that only the supervisor reads; of the supervisor its own */
	FD_KIND_OUTPUT,	  /* the supervisor's end of that pipe */
	FD_KIND_CONTROL,  /* SEQPACKET, between the supervisor and a child */
	FD_KIND_WIRE,	  /* STREAM, between the core and a device */
	FD_KIND_STREAM,	  /* STREAM, between the supervisor and a console */
	FD_KIND_LISTENER, /* a listening unix socket */
	FD_KIND_CLIENT,	  /* a unix socket whose other end is no process of the VM's */
	FD_KIND_UNIX,	  /* a unix socket, and the kernel does not tell whose its other end is */
	FD_KIND_NETLINK,
	FD_KIND_PIPE,		/* both ends in the same process */
	FD_KIND_EVENTFD,	/* its own */
	FD_KIND_SHARED_EVENTFD, /* kick, call and interrupts: between the core and a device */
	FD_KIND_EPOLL,
	FD_KIND_TIMER,
	FD_KIND_SIGNALS,
	FD_KIND_PIDFD,
	FD_KIND_URING,
	FD_KIND_KVM,
	FD_KIND_VM,
	FD_KIND_VCPU,
	FD_KIND_RAM,	/* the guest's memory, which the core has, and the supervisor keeps */
	FD_KIND_MEMFD,	/* another of the core's */
	FD_KIND_STATE,	/* a state page, which the supervisor keeps for a device's next process */
	FD_KIND_FILE,	/* of a device, which the supervisor has open too */
	FD_KIND_BOOT,	/* the supervisor's: kernel and initrd */
	FD_KIND_FOLDER, /* the supervisor's: the runtime directory, the VM's in it, control groups */
	FD_KIND_LOCK,	/* the supervisor's: the pid file in the latter */
	FD_KIND_INPUT,	/* the supervisor's 0, where it is no terminal */
	FD_KIND_TAP,	/* likewise */
	FD_KIND_PTY,	/* likewise */
	FD_KIND_TERMINAL,
	FD_KIND_COUNT,
};

#endif
