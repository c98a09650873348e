/*
 * A device's process, seen from the core: there, lost, or failed; and how one process follows another.
 *
 *     SERVING       a wire leads to a process
 *        | lost
 *        v
 *      LOST         accesses that need the process wait ("park"), here and in all states below but FAILED
 *        | called   the supervisor hands over the wire of a successor, or of an undertaker
 *        v
 *     CALLED        it waits for the attendant
 *        | taken up
 *        v   refused: LOST
 *     GREETING      the attendant leads the handshake
 *        | ready
 *        v
 *     PREPARED      it waits for the main thread
 *        | adopted: SERVING
 *
 *     FAILED        the supervisor gave up: accesses do without the process
 *        | called
 *        v
 *     CALLED_BACK   as CALLED, of a device that had failed
 *        | taken up
 *        v   refused: FAILED
 *     GREETING_BACK as GREETING
 *        | ready: PREPARED
 *
 *     CALLED_NEW    as CALLED, of a device that is not in the machine yet: it begins here
 *        | taken up
 *        v   refused: LEFT
 *     GREETING_NEW  as GREETING
 *        | ready: PREPARED
 *
 *     LEAVING       the supervisor wants the device out of the machine: no access waits, or needs the process; the
 *        |          attendant has it stop its queues, if it served
 *        | departed
 *        v
 *     LEFT          the main thread takes it out
 *
 * The supervisor calls another one, or gives up, in any of them: what there is is let go of, which leads to LOST (FAILED
 * stays), and from there to CALLED or FAILED. The end of the run leads from a handshake to LOST; the link's to ENDED. A
 * handshake whose state has been left so goes on until its wire's end is seen, and its result is not wanted. The table of
 * all transitions is in device_link.c.
 *
 * Each link has an attendant, a thread that does what may take long and concerns this one device: it leads
 * the handshake with a successor, so that neither vCPUs nor the main thread wait for a process that is silent,
 * and afterwards waits for the end of the wire. What it prepared is taken over (adopted) by the main thread.
 *
 * The device has a lock of its own, under which vCPUs talk to the process. It is taken before the link's,
 * which is held for moments only. The wire that is lost is freed by the main thread.
 */
#ifndef ATOLL_VMM_CORE_WIRE_DEVICE_LINK_H
#define ATOLL_VMM_CORE_WIRE_DEVICE_LINK_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/base/loop.h"
#include "common/base/seccomp_filter.h"
#include "vmm-core/machine/core.h"
#include "vmm-core/wire/attendant.h"

/* For a handshake as a whole, and for the queues of a device that leaves. */
#define DEVICE_LINK_HANDSHAKE_MS 10000
#define DEVICE_LINK_DETAIL_MAX	 256

enum device_link_state {
	DEVICE_LINK_NEVER, /* none: where a transition leads that cannot be */
	DEVICE_LINK_SERVING,
	DEVICE_LINK_LOST,
	DEVICE_LINK_CALLED,
	DEVICE_LINK_GREETING,
	DEVICE_LINK_PREPARED,
	DEVICE_LINK_FAILED,
	DEVICE_LINK_CALLED_BACK,
	DEVICE_LINK_GREETING_BACK,
	DEVICE_LINK_CALLED_NEW,
	DEVICE_LINK_GREETING_NEW,
	DEVICE_LINK_LEAVING,
	DEVICE_LINK_LEFT,
	DEVICE_LINK_ENDED,
	DEVICE_LINK_STATES,
};

/* What attendants do for links. */
extern const struct attendant_ops device_link_attendance;

struct device_link_ops {
	/* Attendant: makes a successor ready on wire_fd, which becomes the device's in any case. What vCPUs
	 * use stays as it is. 0, or -errno and what was being done. */
	int (*handshake)(void *device, int wire_fd, const char **doing);
	/* What handshake() made ready is not needed. Any thread, no other call at the same time. */
	void (*discard)(void *device);
	/* Main thread: what handshake() made ready serves from now on. Calls device_link_serve(), or of a new device
	 * device_link_join() or device_link_leave(). */
	void (*adopt)(void *device);
	/* Main thread: the link is lost or failed; frees the wire, if that is still to be done. */
	void (*retire)(void *device);
	/* Main thread: no successor will come. Calls device_link_failed(). */
	void (*fail)(void *device);
	/* Attendant: the device is to leave, and its process served it: has it stop what it does, in order. NULL: the device
	 * cannot leave. */
	void (*leave)(void *device);
};

/* What the supervisor is told. */
struct device_report {
	Atoll__Control__DeviceState__Kind kind;
	uint64_t serial; /* of the AttachDevice that brought the wire */
	char detail[DEVICE_LINK_DETAIL_MAX];
};

/* What leads to a process. */
struct device_link_wire {
	int fd;		 /* -1: none */
	uint64_t serial; /* of the AttachDevice that brought it; 0: it was there from the beginning */
	bool undertaker; /* it leads to one */
};

struct device_link {
	struct core *core;
	const char *id;
	const struct device_link_ops *ops;
	void *device;
	_Atomic int state;	/* enum device_link_state; changes under the lock */
	_Atomic bool cancelled; /* no access waits any more */

	struct attendant *attendant; /* whose lock is that of all below */
	bool orderly;		     /* LEAVING: the process is asked to stop */
	/* The last one that was taken up. fd is a duplicate, to watch and to cut the wire off by; the attendant
	 * closes it. The rest stays. */
	struct device_link_wire wire;
	/* A successor's that waits for the attendant. */
	struct device_link_wire next;
	bool overdue; /* the handshake was cut off because it took too long */
	struct device_report report;
	uint64_t lost_us;
	uint64_t restarts;
	uint64_t parked;
	uint64_t longest_outage_us;
};

/* Main thread. id and device are borrowed. The link serves; the wire is watched once the attendant is released. */
int device_link_init(struct device_link *link, struct core *core, const char *id,
		     const struct device_link_ops *ops, void *device);
int device_link_start(struct device_link *link, int wire_fd);
/* The attendant begins, after having put on the filter (NULL: none). Once; returns when it has. 0 or -errno
 * (logged). */
int device_link_release(struct device_link *link, const struct seccomp_filter *filter);
/* Gives the attendant back. No vCPU is in a call of the device. */
void device_link_destroy(struct device_link *link);

static inline enum device_link_state device_link_state(const struct device_link *link)
{
	return (enum device_link_state)atomic_load_explicit(&((struct device_link *)link)->state,
							    memory_order_acquire);
}

/* Whether an access that needs the process cannot be made in this state. */
static inline bool device_link_waits(enum device_link_state state)
{
	return state != DEVICE_LINK_SERVING && state != DEVICE_LINK_FAILED;
}

/* Whether it waits for a process then; else it is over. */
static inline bool device_link_parks(enum device_link_state state)
{
	return device_link_waits(state) && state != DEVICE_LINK_LEAVING && state != DEVICE_LINK_LEFT;
}

/*
 * The wire ended (-EPIPE) or the process broke its rules (another -errno) while `doing`: cuts it off and lets
 * the supervisor know. Nothing happens if it is lost already. Any thread.
 */
void device_link_lost(struct device_link *link, const char *doing, int error);

/*
 * Waits as long as the link's state waits. true: try again, with a successor or without any; false: the run is over, or the
 * device leaves. The
 * caller holds no lock that others than this device's vCPUs need.
 */
bool device_link_park(struct device_link *link);

/* No access waits any more; with `cut`, not for an answer on the wire either. Any thread. */
void device_link_cancel(struct device_link *link, bool cut);

/* --- Main thread --- */

/* A wire to a successor, or to an undertaker, which becomes the link's; a process that is still there is let go. */
void device_link_attach(struct device_link *link, int wire_fd, uint64_t serial, bool undertaker);
/*
 * In place of device_link_init(), for a device that is not in the machine yet: its attendant, a spare one, leads the handshake on
 * wire_fd, which becomes the link's; then adopt() is called. When it fails, the link is LEFT; why stands in report.detail.
 * -ENOSPC: there is no attendant; wire_fd stays the caller's on an error.
 */
int device_link_invite(struct device_link *link, struct core *core, const char *id,
		       const struct device_link_ops *ops, void *device, int wire_fd, uint64_t serial);
/* From adopt(): the new device serves. */
void device_link_join(struct device_link *link);
/* The device is to leave, for a reason that is kept in report.detail (NULL: none): when its process has stopped, or did not within DEVICE_LINK_HANDSHAKE_MS, the link is LEFT, and the
 * loop is woken. Not while it is called or greeted for the first time, or leaves already. */
void device_link_leave(struct device_link *link, const char *why);
/* No successor will come; a process that is still there is let go. */
void device_link_fail(struct device_link *link);
/* From adopt(), and from fail(), under the device's lock. */
void device_link_serve(struct device_link *link);
void device_link_failed(struct device_link *link);
/* What other threads left to be done; the loop was woken for it. */
void device_link_attend(struct device_link *link);
/* What the supervisor is to be told; false: nothing. device_link_reported() when it was. */
bool device_link_report(struct device_link *link, struct device_report *report);
void device_link_reported(struct device_link *link, const struct device_report *report);

/* "ID.restarts", "ID.parked-accesses", "ID.longest-outage-us". */
void device_link_counters(struct device_link *link,
			  void (*each)(void *argument, const char *name, uint64_t value), void *argument);

#endif
