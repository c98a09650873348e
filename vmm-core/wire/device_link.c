/*
 * A device's link to its process; see device_link.h.
 *
 * The attendant's life: wait for a wire; greet the process there; wait until the main thread has adopted what
 * was made ready; wait for the wire's end; begin again. Whoever wants it to let go of a wire shuts the wire
 * down: that ends each of its waits, and each of a vCPU's, at once. A device that is to leave is to be left in order, over
 * its wire: there the attendant is called away from its wait by an eventfd.
 */
#include "vmm-core/wire/device_link.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/base/eventfd_wire.h"
#include "common/base/log.h"

/* --- States --- */

enum link_event {
	LINK_LOSE,   /* any thread: the wire ended, or the process behind it broke its rules */
	LINK_CANCEL, /* any thread: the run is over */
	LINK_LET_GO, /* main thread: whatever leads to a process, or was to lead to one, is not wanted any more */
	LINK_CALL,    /* main thread: a successor's wire came */
	LINK_FAIL,    /* main thread: none will come */
	LINK_ADOPT,   /* main thread: the one that is ready serves from now on */
	LINK_OVERDUE, /* main thread: the time for a handshake is over */
	LINK_LEAVE,   /* main thread: the device is to leave the machine, or is not to come into it */
	LINK_END,     /* main thread: the attendant is to let go of it */
	LINK_TAKE_UP, /* attendant: it begins the handshake */
	LINK_READY,   /* attendant: the handshake is done */
	LINK_REFUSE,  /* attendant: the handshake failed */
	LINK_DEPART,  /* attendant: its process touches nothing of the guest's any more, or was cut off */
	LINK_EVENTS,
};

enum link_action {
	/* link_step() carries these out. */
	OUTAGE = 1 << 0, /* from now on accesses wait that would not have */
	SHUT = 1 << 1,	 /* the wire is shut down: whoever waits on it, does so no longer */
	DROP = 1 << 2,	 /* the wire that waits for the attendant is closed */
	WAKE = 1 << 3,	 /* the main thread has something to do */
	/* And the caller, who knows more, these. */
	TELL = 1 << 4,	  /* the supervisor is told */
	DISCARD = 1 << 5, /* what the handshake made ready is discarded */
};

struct link_transition {
	enum device_link_state next;
	unsigned actions; /* of enum link_action */
};

#define TO(from, to, what) [DEVICE_LINK_##from] = {DEVICE_LINK_##to, what}
#define STAYS(state)	   TO(state, state, 0)

/* What is not here cannot be. A handshake's end finds any state that the main thread can bring about meanwhile. */
static const struct link_transition link_transitions[LINK_EVENTS][DEVICE_LINK_STATES] =
	{
		[LINK_LOSE] =
			{
				TO(SERVING, LOST, OUTAGE | SHUT | TELL),
				STAYS(LOST),
				STAYS(CALLED),
				STAYS(GREETING),
				STAYS(PREPARED),
				STAYS(FAILED),
				STAYS(CALLED_BACK),
				STAYS(GREETING_BACK),
				STAYS(CALLED_NEW),
				STAYS(GREETING_NEW),
				STAYS(LEAVING),
				STAYS(LEFT),
				STAYS(ENDED),
			},
		[LINK_CANCEL] =
			{
				/* Its queues are still to be stopped in order. */
				STAYS(SERVING),
				TO(LOST, LOST, SHUT),
				TO(CALLED, CALLED, SHUT),
				TO(GREETING, LOST, SHUT),
				TO(PREPARED, PREPARED, SHUT),
				TO(FAILED, FAILED, SHUT),
				TO(CALLED_BACK, CALLED_BACK, SHUT),
				TO(GREETING_BACK, LOST, SHUT),
				TO(CALLED_NEW, CALLED_NEW, SHUT),
				TO(GREETING_NEW, GREETING_NEW, SHUT),
				STAYS(LEAVING),
				STAYS(LEFT),
			},
		[LINK_LET_GO] =
			{
				TO(SERVING, LOST, OUTAGE | SHUT),
				TO(LOST, LOST, SHUT),
				TO(CALLED, LOST, SHUT | DROP),
				TO(GREETING, LOST, SHUT),
				TO(PREPARED, LOST, SHUT | DISCARD),
				TO(FAILED, FAILED, SHUT),
				TO(CALLED_BACK, LOST, SHUT | DROP),
				TO(GREETING_BACK, LOST, SHUT),
			},
		[LINK_CALL] =
			{
				TO(LOST, CALLED, 0),
				/* Accesses wait for this one again. */
				TO(FAILED, CALLED_BACK, 0),
			},
		[LINK_FAIL] =
			{
				TO(LOST, FAILED, 0),
				STAYS(FAILED),
			},
		[LINK_ADOPT] =
			{
				TO(PREPARED, SERVING, 0),
			},
		[LINK_OVERDUE] =
			{
				STAYS(SERVING),
				STAYS(LOST),
				STAYS(CALLED),
				TO(GREETING, GREETING, SHUT),
				STAYS(PREPARED),
				STAYS(FAILED),
				STAYS(CALLED_BACK),
				TO(GREETING_BACK, GREETING_BACK, SHUT),
				STAYS(CALLED_NEW),
				TO(GREETING_NEW, GREETING_NEW, SHUT),
				TO(LEAVING, LEAVING, SHUT),
				STAYS(LEFT),
			},
		[LINK_LEAVE] =
			{
				/* Its queues are to be stopped in order. */
				TO(SERVING, LEAVING, 0),
				TO(LOST, LEAVING, SHUT),
				TO(CALLED, LEAVING, SHUT | DROP),
				TO(GREETING, LEAVING, SHUT),
				TO(PREPARED, LEAVING, SHUT | DISCARD),
				TO(FAILED, LEAVING, SHUT),
				TO(CALLED_BACK, LEAVING, SHUT | DROP),
				TO(GREETING_BACK, LEAVING, SHUT),
			},
		[LINK_END] =
			{
				TO(SERVING, ENDED, SHUT),
				TO(LOST, ENDED, SHUT),
				TO(CALLED, ENDED, SHUT | DROP),
				TO(GREETING, ENDED, SHUT),
				TO(PREPARED, ENDED, SHUT | DISCARD),
				TO(FAILED, ENDED, SHUT),
				TO(CALLED_BACK, ENDED, SHUT | DROP),
				TO(GREETING_BACK, ENDED, SHUT),
				TO(CALLED_NEW, ENDED, SHUT | DROP),
				TO(GREETING_NEW, ENDED, SHUT),
				TO(LEAVING, ENDED, SHUT),
				TO(LEFT, ENDED, 0),
			},
		[LINK_TAKE_UP] =
			{
				TO(CALLED, GREETING, 0),
				TO(CALLED_BACK, GREETING_BACK, 0),
				TO(CALLED_NEW, GREETING_NEW, 0),
			},
		[LINK_READY] =
			{
				TO(GREETING, PREPARED, WAKE),
				TO(GREETING_BACK, PREPARED, WAKE),
				TO(GREETING_NEW, PREPARED, WAKE),
				TO(LOST, LOST, DISCARD),
				TO(CALLED, CALLED, DISCARD),
				TO(FAILED, FAILED, DISCARD),
				TO(CALLED_BACK, CALLED_BACK, DISCARD),
				TO(LEAVING, LEAVING, DISCARD),
				TO(ENDED, ENDED, DISCARD),
			},
		[LINK_REFUSE] =
			{
				TO(GREETING, LOST, TELL),
				TO(GREETING_BACK, FAILED, TELL),
				/* device_set.c says why to whom wanted it attached. */
				TO(GREETING_NEW, LEFT, TELL),
				STAYS(LOST),
				STAYS(CALLED),
				STAYS(FAILED),
				STAYS(CALLED_BACK),
				STAYS(LEAVING),
				STAYS(ENDED),
			},
		[LINK_DEPART] =
			{
				TO(LEAVING, LEFT, WAKE),
				STAYS(ENDED),
			},
};

/* --- With the link's lock held --- */

static bool link_called(enum device_link_state state)
{
	return state == DEVICE_LINK_CALLED || state == DEVICE_LINK_CALLED_BACK ||
	       state == DEVICE_LINK_CALLED_NEW;
}

static void link_shut_wire(struct device_link *link)
{
	if (link->wire.fd >= 0)
		shutdown(link->wire.fd, SHUT_RDWR);
}

static void wire_close(struct device_link_wire *wire)
{
	if (wire->fd >= 0)
		close(wire->fd);
	wire->fd = -1;
}

/* Makes the transition. Returns its actions, of which TELL and DISCARD are left to be done. */
static unsigned link_step(struct device_link *link, enum link_event event)
{
	const struct link_transition *transition = &link_transitions[event][device_link_state(link)];

	assert(transition->next != DEVICE_LINK_NEVER);
	if ((transition->actions & OUTAGE) != 0)
		link->lost_us = clock_us(CLOCK_MONOTONIC);
	if ((transition->actions & SHUT) != 0)
		link_shut_wire(link);
	if ((transition->actions & DROP) != 0)
		wire_close(&link->next);
	atomic_store_explicit(&link->state, transition->next, memory_order_release);
	assert(link_called(transition->next) == (link->next.fd >= 0));
	assert(transition->next != DEVICE_LINK_PREPARED || link->wire.fd >= 0);
	if ((transition->actions & WAKE) != 0)
		loop_wake(link->core->loop);
	if (!device_link_parks(transition->next))
		pthread_cond_broadcast(&link->attendant->resumed);
	pthread_cond_broadcast(&link->attendant->orders);
	return transition->actions;
}

/* Of a number that a process sent, too; strerror(3) would allocate for one that there is not. */
static const char *error_text(int error)
{
	const char *text;

	switch (error) {
	case -EPIPE:
	case -ECONNRESET:
		return "its process is gone";
	case -ETIMEDOUT:
		return "its process does not answer";
	case -EPROTO:
		return "its process broke the protocol";
	case -EREMOTEIO:
		return "its process refused";
	default:
		text = strerrordesc_np(-error);
		return text != NULL ? text : "an error that there is not";
	}
}

static void link_tell(struct device_link *link, const char *doing, int error)
{
	bool gone = error == -EPIPE || error == -ECONNRESET;

	if (atomic_load(&link->cancelled))
		return;
	link->report.kind = gone ? ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_GONE
				 : ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_BROKEN;
	link->report.serial = link->wire.serial;
	snprintf(link->report.detail, sizeof(link->report.detail), "%s: %s", doing, error_text(error));
	/* Of a process that is gone the supervisor has more to say. */
	if (gone)
		log_debug_of(link->id, "device %s: %s", link->id, link->report.detail);
	else
		log_warning_of(link->id, "device %s: %s; it is cut off", link->id, link->report.detail);
	loop_wake(link->core->loop);
}

/* --- The attendant --- */

/* Takes the wire of a successor up. The lock is let go of meanwhile. */
static void attendant_greet(struct device_link *link)
{
	int fd = link->next.fd;
	const char *doing = "its successor cannot be attached";
	unsigned actions;
	int result;

	link->wire = link->next;
	link->next.fd = -1;
	link->overdue = false;
	link->wire.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	result = link->wire.fd < 0 ? -errno : 0;
	link_step(link, LINK_TAKE_UP);
	if (result == 0) {
		pthread_mutex_unlock(&link->attendant->lock);
		result = link->ops->handshake(link->device, fd, &doing);
		pthread_mutex_lock(&link->attendant->lock);
	} else {
		close(fd);
	}
	actions = link_step(link, result == 0 ? LINK_READY : LINK_REFUSE);
	if (device_link_state(link) == DEVICE_LINK_PREPARED)
		return;
	if ((actions & DISCARD) != 0)
		link->ops->discard(link->device);
	link_shut_wire(link);
	wire_close(&link->wire);
	if ((actions & TELL) != 0)
		link_tell(link, doing, link->overdue ? -ETIMEDOUT : result);
}

/* Waits for the end of a wire, or for being called away. */
static void attendant_watch(struct device_link *link)
{
	struct pollfd fds[2] = {{.fd = link->wire.fd, .events = POLLRDHUP},
				{.fd = link->attendant->call_fd, .events = POLLIN}};

	pthread_mutex_unlock(&link->attendant->lock);
	while (poll(fds, 2, -1) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&link->attendant->lock);
	if (device_link_state(link) == DEVICE_LINK_LEAVING)
		return;
	if ((link_step(link, LINK_LOSE) & TELL) != 0)
		link_tell(link, "the wire ended", -EPIPE);
	wire_close(&link->wire);
}

/* The lock is let go of meanwhile. */
static void attendant_leave(struct device_link *link)
{
	if (link->orderly) {
		pthread_mutex_unlock(&link->attendant->lock);
		link->ops->leave(link->device);
		pthread_mutex_lock(&link->attendant->lock);
	}
	link_shut_wire(link);
	wire_close(&link->wire);
	link_step(link, LINK_DEPART);
}

static void attendant_serve(struct device_link *link)
{
	enum device_link_state state = device_link_state(link);

	if (state == DEVICE_LINK_ENDED)
		attendant_let_go(link->attendant);
	else if (state == DEVICE_LINK_LEAVING)
		attendant_leave(link);
	else if (state != DEVICE_LINK_PREPARED && link->wire.fd >= 0)
		attendant_watch(link);
	else if (link_called(state) && !atomic_load(&link->cancelled))
		attendant_greet(link);
	else
		pthread_cond_wait(&link->attendant->orders, &link->attendant->lock);
}

/* Main thread. Who answers each question just in time is silent too. */
static void link_overdue(struct device_link *link)
{
	pthread_mutex_lock(&link->attendant->lock);
	if ((link_step(link, LINK_OVERDUE) & SHUT) != 0)
		link->overdue = true;
	pthread_mutex_unlock(&link->attendant->lock);
}

const struct attendant_ops device_link_attendance = {.serve = attendant_serve, .overdue = link_overdue};

/* --- Life --- */

static int link_init(struct device_link *link, struct core *core, const char *id,
		     const struct device_link_ops *ops, void *device, enum device_link_state state,
		     const struct device_link_wire *wire)
{
	int result;

	*link = (struct device_link){
		.core = core,
		.id = id,
		.ops = ops,
		.device = device,
		.state = state,
		.wire.fd = -1,
		.next = *wire,
	};
	result = attendant_take(core, link, &device_link_attendance, &link->attendant);
	if (result < 0)
		link->ops = NULL;
	return result;
}

int device_link_init(struct device_link *link, struct core *core, const char *id,
		     const struct device_link_ops *ops, void *device)
{
	struct device_link_wire none = {.fd = -1};

	return link_init(link, core, id, ops, device, DEVICE_LINK_SERVING, &none);
}

int device_link_start(struct device_link *link, int wire_fd)
{
	int fd = fcntl(wire_fd, F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	pthread_mutex_lock(&link->attendant->lock);
	link->wire.fd = fd;
	pthread_cond_broadcast(&link->attendant->orders);
	pthread_mutex_unlock(&link->attendant->lock);
	return 0;
}

int device_link_release(struct device_link *link, const struct seccomp_filter *filter)
{
	return attendant_release(link->attendant, filter);
}

void device_link_destroy(struct device_link *link)
{
	unsigned actions;

	if (link->ops == NULL)
		return;
	pthread_mutex_lock(&link->attendant->lock);
	actions = link_step(link, LINK_END);
	pthread_mutex_unlock(&link->attendant->lock);
	attendant_give(link->core, link->attendant);
	if ((actions & DISCARD) != 0)
		link->ops->discard(link->device);
	wire_close(&link->wire);
	link->ops = NULL;
}

/* --- Any thread --- */

void device_link_lost(struct device_link *link, const char *doing, int error)
{
	pthread_mutex_lock(&link->attendant->lock);
	if ((link_step(link, LINK_LOSE) & TELL) != 0)
		link_tell(link, doing, error);
	pthread_mutex_unlock(&link->attendant->lock);
}

bool device_link_park(struct device_link *link)
{
	bool again;

	pthread_mutex_lock(&link->attendant->lock);
	if (device_link_parks(device_link_state(link)))
		link->parked++;
	while (device_link_parks(device_link_state(link)) && !atomic_load(&link->cancelled))
		pthread_cond_wait(&link->attendant->resumed, &link->attendant->lock);
	again = !device_link_waits(device_link_state(link));
	pthread_mutex_unlock(&link->attendant->lock);
	return again;
}

void device_link_cancel(struct device_link *link, bool cut)
{
	atomic_store(&link->cancelled, true);
	pthread_mutex_lock(&link->attendant->lock);
	link_step(link, LINK_CANCEL);
	if (cut)
		link_shut_wire(link);
	pthread_cond_broadcast(&link->attendant->resumed);
	pthread_mutex_unlock(&link->attendant->lock);
}

/* --- Main thread --- */

/* First of all, so that nobody who talks on the wire holds the device's lock for long. */
static void link_cut(struct device_link *link)
{
	unsigned actions;

	pthread_mutex_lock(&link->attendant->lock);
	/* Of whom is let go, no word is said. */
	link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
	actions = link_step(link, LINK_LET_GO);
	pthread_mutex_unlock(&link->attendant->lock);
	loop_timer_disarm(link->attendant->timer);
	if ((actions & DISCARD) != 0)
		link->ops->discard(link->device);
	link->ops->retire(link->device);
}

void device_link_attach(struct device_link *link, int wire_fd, uint64_t serial, bool undertaker)
{
	link_cut(link);
	pthread_mutex_lock(&link->attendant->lock);
	link->next = (struct device_link_wire){.fd = wire_fd, .serial = serial, .undertaker = undertaker};
	link_step(link, LINK_CALL);
	pthread_mutex_unlock(&link->attendant->lock);
	loop_timer_arm(link->attendant->timer, DEVICE_LINK_HANDSHAKE_MS * UINT64_C(1000));
}

int device_link_invite(struct device_link *link, struct core *core, const char *id,
		       const struct device_link_ops *ops, void *device, int wire_fd, uint64_t serial)
{
	struct device_link_wire wire = {.fd = wire_fd, .serial = serial};
	int result = link_init(link, core, id, ops, device, DEVICE_LINK_CALLED_NEW, &wire);

	if (result == 0)
		loop_timer_arm(link->attendant->timer, DEVICE_LINK_HANDSHAKE_MS * UINT64_C(1000));
	return result;
}

void device_link_join(struct device_link *link)
{
	pthread_mutex_lock(&link->attendant->lock);
	link_step(link, LINK_ADOPT);
	pthread_mutex_unlock(&link->attendant->lock);
	loop_timer_disarm(link->attendant->timer);
}

void device_link_leave(struct device_link *link, const char *why)
{
	unsigned actions;

	pthread_mutex_lock(&link->attendant->lock);
	link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
	snprintf(link->report.detail, sizeof(link->report.detail), "%s", why != NULL ? why : "");
	link->orderly = device_link_state(link) == DEVICE_LINK_SERVING;
	actions = link_step(link, LINK_LEAVE);
	pthread_mutex_unlock(&link->attendant->lock);
	if ((actions & DISCARD) != 0)
		link->ops->discard(link->device);
	eventfd_raise(link->attendant->call_fd);
	loop_timer_arm(link->attendant->timer, DEVICE_LINK_HANDSHAKE_MS * UINT64_C(1000));
}

void device_link_fail(struct device_link *link)
{
	link_cut(link);
	link->ops->fail(link->device);
}

void device_link_failed(struct device_link *link)
{
	pthread_mutex_lock(&link->attendant->lock);
	link_step(link, LINK_FAIL);
	pthread_mutex_unlock(&link->attendant->lock);
}

void device_link_serve(struct device_link *link)
{
	uint64_t outage_us;

	pthread_mutex_lock(&link->attendant->lock);
	link_step(link, LINK_ADOPT);
	outage_us = clock_us(CLOCK_MONOTONIC) - link->lost_us;
	link->restarts++;
	if (outage_us > link->longest_outage_us)
		link->longest_outage_us = outage_us;
	link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING;
	link->report.serial = link->wire.serial;
	link->report.detail[0] = '\0';
	pthread_mutex_unlock(&link->attendant->lock);
	loop_timer_disarm(link->attendant->timer);
}

void device_link_attend(struct device_link *link)
{
	enum device_link_state state = device_link_state(link);

	/* What a device that leaves has is its attendant's, until it has left. */
	if (state != DEVICE_LINK_SERVING && state != DEVICE_LINK_LEAVING)
		link->ops->retire(link->device);
	/* Nobody but this thread, and the end of the run, takes it away again. */
	if (state == DEVICE_LINK_PREPARED && !atomic_load(&link->cancelled))
		link->ops->adopt(link->device);
}

bool device_link_report(struct device_link *link, struct device_report *report)
{
	pthread_mutex_lock(&link->attendant->lock);
	*report = link->report;
	pthread_mutex_unlock(&link->attendant->lock);
	return report->kind != ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
}

void device_link_reported(struct device_link *link, const struct device_report *report)
{
	pthread_mutex_lock(&link->attendant->lock);
	/* Unless there is more to say meanwhile. */
	if (link->report.kind == report->kind && link->report.serial == report->serial)
		link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
	pthread_mutex_unlock(&link->attendant->lock);
}

void device_link_counters(struct device_link *link,
			  void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	const char *names[] = {"restarts", "parked-accesses", "longest-outage-us"};
	uint64_t values[3];

	pthread_mutex_lock(&link->attendant->lock);
	values[0] = link->restarts;
	values[1] = link->parked;
	values[2] = link->longest_outage_us;
	pthread_mutex_unlock(&link->attendant->lock);
	for (unsigned i = 0; i < 3; i++) {
		char name[DEVICE_LINK_DETAIL_MAX];

		snprintf(name, sizeof(name), "%s.%s", link->id, names[i]);
		each(argument, name, values[i]);
	}
}
