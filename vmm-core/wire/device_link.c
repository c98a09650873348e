/*
 * A device's link to its process; see device_link.h.
 *
 * The attendant's life: wait for a wire; greet the process there; wait until the main thread has adopted what
 * was made ready; wait for the wire's end; begin again. Whoever wants it to let go of a wire shuts the wire
 * down: that ends each of its waits, and each of a vCPU's, at once.
 */
#include "vmm-core/wire/device_link.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/jail/jail.h"

#define ATTENDANT_STACK_SIZE ((size_t)256 * 1024)

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* --- With the link's lock held --- */

static void link_set_state(struct device_link *link, enum device_link_state state)
{
	atomic_store_explicit(&link->state, state, memory_order_release);
	if (state != DEVICE_LINK_LOST)
		pthread_cond_broadcast(&link->resumed);
}

static void link_shut_wire(struct device_link *link)
{
	if (link->wire_fd >= 0)
		shutdown(link->wire_fd, SHUT_RDWR);
}

/* From serving to lost, without a word. */
static void link_lose(struct device_link *link)
{
	if (device_link_state(link) != DEVICE_LINK_SERVING)
		return;
	link->lost_us = now_us();
	link->fallback = DEVICE_LINK_LOST;
	link_set_state(link, DEVICE_LINK_LOST);
	link_shut_wire(link);
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
	link->report.serial = link->serial;
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
	int fd = link->next_fd;
	const char *doing = "its successor cannot be attached";
	int result;

	link->next_fd = -1;
	link->serial = link->next_serial;
	link->undertaker = link->next_undertaker;
	link->abandoned = link->overdue = false;
	link->wire_fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (link->wire_fd < 0) {
		result = -errno;
		close(fd);
		goto failed;
	}
	link->greeting = true;
	pthread_mutex_unlock(&link->lock);
	result = link->ops->handshake(link->device, fd, &doing);
	pthread_mutex_lock(&link->lock);
	link->greeting = false;
	if (result == 0 && !link->abandoned) {
		link->prepared = true;
		loop_wake(link->core->loop);
		return;
	}
	if (result == 0)
		link->ops->discard(link->device);
	link_shut_wire(link);
	close(link->wire_fd);
	link->wire_fd = -1;
failed:
	if (link->abandoned)
		return;
	link_tell(link, doing, link->overdue ? -ETIMEDOUT : result);
	if (link->fallback == DEVICE_LINK_FAILED)
		link_set_state(link, DEVICE_LINK_FAILED);
}

/* Waits for the end of a wire. */
static void attendant_watch(struct device_link *link)
{
	struct pollfd poll_fd = {.fd = link->wire_fd, .events = POLLRDHUP};

	pthread_mutex_unlock(&link->lock);
	while (poll(&poll_fd, 1, -1) < 0 && errno == EINTR)
		;
	pthread_mutex_lock(&link->lock);
	if (device_link_state(link) == DEVICE_LINK_SERVING) {
		link_lose(link);
		link_tell(link, "the wire ended", -EPIPE);
	}
	close(link->wire_fd);
	link->wire_fd = -1;
}

/* The lock is let go of meanwhile. */
static void attendant_wait_for_release(struct device_link *link)
{
	while (!link->released && !link->stopping)
		pthread_cond_wait(&link->orders, &link->lock);
	if (link->filter == NULL)
		return;
	pthread_mutex_unlock(&link->lock);
	link->seal_error = jail_seal_thread(link->filter, NULL, 0);
	pthread_mutex_lock(&link->lock);
	link->filter = NULL;
	pthread_cond_broadcast(&link->resumed);
}

static void *attendant_run(void *argument)
{
	struct device_link *link = argument;

	jail_name_thread("attendant");
	pthread_mutex_lock(&link->lock);
	link->begun = true;
	pthread_cond_broadcast(&link->resumed);
	attendant_wait_for_release(link);
	while (!link->stopping) {
		if (link->prepared)
			pthread_cond_wait(&link->orders, &link->lock);
		else if (link->wire_fd >= 0)
			attendant_watch(link);
		else if (link->next_fd >= 0 && !atomic_load(&link->cancelled))
			attendant_greet(link);
		else
			pthread_cond_wait(&link->orders, &link->lock);
	}
	pthread_mutex_unlock(&link->lock);
	return NULL;
}

/* Main thread. A successor that answers each question just in time is silent too. */
static void link_overdue(void *argument)
{
	struct device_link *link = argument;

	pthread_mutex_lock(&link->lock);
	if (link->greeting) {
		link->overdue = true;
		link_shut_wire(link);
	}
	pthread_mutex_unlock(&link->lock);
}

/* --- Life --- */

int device_link_init(struct device_link *link, struct core *core, const char *id,
		     const struct device_link_ops *ops, void *device)
{
	*link = (struct device_link){
		.core = core,
		.id = id,
		.ops = ops,
		.device = device,
		.wire_fd = -1,
		.next_fd = -1,
	};
	pthread_mutex_init(&link->lock, NULL);
	pthread_cond_init(&link->resumed, NULL);
	pthread_cond_init(&link->orders, NULL);
	link->timer = loop_watch_timer(core->loop, link_overdue, link);
	return link->timer != NULL ? 0 : -errno;
}

int device_link_start(struct device_link *link, int wire_fd)
{
	pthread_attr_t attributes;
	int result;

	link->wire_fd = fcntl(wire_fd, F_DUPFD_CLOEXEC, 0);
	if (link->wire_fd < 0)
		return -errno;
	result = -pthread_attr_init(&attributes);
	if (result < 0)
		return result;
	pthread_attr_setstacksize(&attributes, ATTENDANT_STACK_SIZE);
	result = -pthread_create(&link->attendant, &attributes, attendant_run, link);
	pthread_attr_destroy(&attributes);
	if (result < 0)
		return result;
	link->has_attendant = true;
	/* What a thread does at its beginning is not allowed any more once the process is sealed. */
	pthread_mutex_lock(&link->lock);
	while (!link->begun)
		pthread_cond_wait(&link->resumed, &link->lock);
	pthread_mutex_unlock(&link->lock);
	return 0;
}

int device_link_release(struct device_link *link, const struct seccomp_filter *filter)
{
	int result;

	pthread_mutex_lock(&link->lock);
	link->released = true;
	link->filter = filter;
	pthread_cond_broadcast(&link->orders);
	while (link->filter != NULL)
		pthread_cond_wait(&link->resumed, &link->lock);
	result = link->seal_error;
	pthread_mutex_unlock(&link->lock);
	return result;
}

void device_link_destroy(struct device_link *link)
{
	if (link->ops == NULL)
		return;
	pthread_mutex_lock(&link->lock);
	link->stopping = link->abandoned = true;
	link_shut_wire(link);
	pthread_cond_broadcast(&link->orders);
	pthread_mutex_unlock(&link->lock);
	if (link->has_attendant)
		pthread_join(link->attendant, NULL);
	if (link->prepared)
		link->ops->discard(link->device);
	if (link->wire_fd >= 0)
		close(link->wire_fd);
	if (link->next_fd >= 0)
		close(link->next_fd);
	loop_unwatch(link->timer);
	pthread_cond_destroy(&link->orders);
	pthread_cond_destroy(&link->resumed);
	pthread_mutex_destroy(&link->lock);
	link->ops = NULL;
}

/* --- Any thread --- */

void device_link_lost(struct device_link *link, const char *doing, int error)
{
	pthread_mutex_lock(&link->lock);
	if (device_link_state(link) == DEVICE_LINK_SERVING) {
		link_lose(link);
		link_tell(link, doing, error);
	}
	pthread_mutex_unlock(&link->lock);
}

bool device_link_park(struct device_link *link)
{
	bool again;

	pthread_mutex_lock(&link->lock);
	if (device_link_state(link) == DEVICE_LINK_LOST)
		link->parked++;
	while (device_link_state(link) == DEVICE_LINK_LOST && !atomic_load(&link->cancelled))
		pthread_cond_wait(&link->resumed, &link->lock);
	again = device_link_state(link) != DEVICE_LINK_LOST;
	pthread_mutex_unlock(&link->lock);
	return again;
}

void device_link_cancel(struct device_link *link, bool cut)
{
	atomic_store(&link->cancelled, true);
	pthread_mutex_lock(&link->lock);
	link->abandoned = true;
	if (cut || device_link_state(link) != DEVICE_LINK_SERVING)
		link_shut_wire(link);
	pthread_cond_broadcast(&link->resumed);
	pthread_mutex_unlock(&link->lock);
}

/* --- Main thread --- */

/* Whatever leads to a process, or was to lead to one, is let go of. True if a successor was ready. */
static bool link_let_go(struct device_link *link)
{
	bool prepared = link->prepared;

	link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
	link->prepared = false;
	link->abandoned = true;
	link_lose(link);
	link_shut_wire(link);
	if (link->next_fd >= 0)
		close(link->next_fd);
	link->next_fd = -1;
	pthread_cond_broadcast(&link->orders);
	return prepared;
}

/* First of all, so that nobody who talks on the wire holds the device's lock for long. */
static void link_cut(struct device_link *link)
{
	bool prepared;

	pthread_mutex_lock(&link->lock);
	prepared = link_let_go(link);
	pthread_mutex_unlock(&link->lock);
	loop_timer_disarm(link->timer);
	if (prepared)
		link->ops->discard(link->device);
	link->ops->retire(link->device);
}

void device_link_attach(struct device_link *link, int wire_fd, uint64_t serial, bool undertaker)
{
	link_cut(link);
	pthread_mutex_lock(&link->lock);
	link->fallback = device_link_state(link);
	/* Accesses wait for this one again. */
	link_set_state(link, DEVICE_LINK_LOST);
	link->next_fd = wire_fd;
	link->next_serial = serial;
	link->next_undertaker = undertaker;
	pthread_cond_broadcast(&link->orders);
	pthread_mutex_unlock(&link->lock);
	loop_timer_arm(link->timer, DEVICE_LINK_HANDSHAKE_MS * UINT64_C(1000));
}

void device_link_fail(struct device_link *link)
{
	link_cut(link);
	link->ops->fail(link->device);
}

void device_link_failed(struct device_link *link)
{
	pthread_mutex_lock(&link->lock);
	link_set_state(link, DEVICE_LINK_FAILED);
	pthread_mutex_unlock(&link->lock);
}

void device_link_serve(struct device_link *link)
{
	uint64_t outage_us = now_us() - link->lost_us;

	pthread_mutex_lock(&link->lock);
	link->prepared = false;
	link->restarts++;
	if (outage_us > link->longest_outage_us)
		link->longest_outage_us = outage_us;
	link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_SERVING;
	link->report.serial = link->serial;
	link->report.detail[0] = '\0';
	link_set_state(link, DEVICE_LINK_SERVING);
	pthread_cond_broadcast(&link->orders);
	pthread_mutex_unlock(&link->lock);
	loop_timer_disarm(link->timer);
}

void device_link_attend(struct device_link *link)
{
	bool prepared;

	pthread_mutex_lock(&link->lock);
	prepared = link->prepared && !atomic_load(&link->cancelled);
	pthread_mutex_unlock(&link->lock);
	if (device_link_state(link) != DEVICE_LINK_SERVING)
		link->ops->retire(link->device);
	if (prepared)
		link->ops->adopt(link->device);
}

bool device_link_report(struct device_link *link, struct device_report *report)
{
	pthread_mutex_lock(&link->lock);
	*report = link->report;
	pthread_mutex_unlock(&link->lock);
	return report->kind != ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
}

void device_link_reported(struct device_link *link, const struct device_report *report)
{
	pthread_mutex_lock(&link->lock);
	/* Unless there is more to say meanwhile. */
	if (link->report.kind == report->kind && link->report.serial == report->serial)
		link->report.kind = ATOLL__CONTROL__DEVICE_STATE__KIND__KIND_UNSPECIFIED;
	pthread_mutex_unlock(&link->lock);
}

void device_link_counters(struct device_link *link,
			  void (*each)(void *argument, const char *name, uint64_t value), void *argument)
{
	const char *names[] = {"restarts", "parked-accesses", "longest-outage-us"};
	uint64_t values[3];

	pthread_mutex_lock(&link->lock);
	values[0] = link->restarts;
	values[1] = link->parked;
	values[2] = link->longest_outage_us;
	pthread_mutex_unlock(&link->lock);
	for (unsigned i = 0; i < 3; i++) {
		char name[DEVICE_LINK_DETAIL_MAX];

		snprintf(name, sizeof(name), "%s.%s", link->id, names[i]);
		each(argument, name, values[i]);
	}
}
