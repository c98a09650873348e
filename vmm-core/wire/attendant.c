/*
 * Attendants; see attendant.h. Whose turn it is, is said by two variables under the attendant's lock: `link`, which it
 * serves, and `ends`.
 */
#include "vmm-core/wire/attendant.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "common/jail/jail.h"

#define ATTENDANT_STACK_SIZE ((size_t)256 * 1024)

struct attendants {
	TAILQ_HEAD(, attendant) spare;
};

/* --- The thread --- */

/* The lock is let go of meanwhile. */
static void attendant_wait_for_release(struct attendant *attendant)
{
	while (!attendant->released && !attendant->ends)
		pthread_cond_wait(&attendant->orders, &attendant->lock);
	if (attendant->filter == NULL)
		return;
	pthread_mutex_unlock(&attendant->lock);
	attendant->seal_error = jail_seal_thread(attendant->filter, NULL, 0);
	pthread_mutex_lock(&attendant->lock);
	attendant->filter = NULL;
	pthread_cond_broadcast(&attendant->resumed);
}

static void *attendant_run(void *argument)
{
	struct attendant *attendant = argument;

	jail_name_thread("attendant");
	pthread_mutex_lock(&attendant->lock);
	attendant->begun = true;
	pthread_cond_broadcast(&attendant->resumed);
	attendant_wait_for_release(attendant);
	while (!attendant->ends) {
		if (attendant->link != NULL)
			attendant->ops->serve(attendant->link);
		else
			pthread_cond_wait(&attendant->orders, &attendant->lock);
	}
	pthread_mutex_unlock(&attendant->lock);
	return NULL;
}

void attendant_let_go(struct attendant *attendant)
{
	attendant->link = NULL;
	pthread_cond_broadcast(&attendant->resumed);
}

/* --- One of them --- */

static int thread_start(struct attendant *attendant)
{
	pthread_attr_t attributes;
	int result = -pthread_attr_init(&attributes);

	if (result < 0)
		return result;
	pthread_attr_setstacksize(&attributes, ATTENDANT_STACK_SIZE);
	result = -pthread_create(&attendant->thread, &attributes, attendant_run, attendant);
	pthread_attr_destroy(&attributes);
	if (result < 0)
		return result;
	/* What a thread does at its beginning is not allowed any more once the process is sealed. */
	pthread_mutex_lock(&attendant->lock);
	while (!attendant->begun)
		pthread_cond_wait(&attendant->resumed, &attendant->lock);
	pthread_mutex_unlock(&attendant->lock);
	return 0;
}

static void attendant_free(struct attendant *attendant)
{
	if (attendant->begun) {
		pthread_mutex_lock(&attendant->lock);
		attendant->ends = true;
		pthread_cond_broadcast(&attendant->orders);
		pthread_mutex_unlock(&attendant->lock);
		pthread_join(attendant->thread, NULL);
	}
	loop_unwatch(attendant->timer);
	if (attendant->call_fd >= 0)
		close(attendant->call_fd);
	pthread_cond_destroy(&attendant->orders);
	pthread_cond_destroy(&attendant->resumed);
	pthread_mutex_destroy(&attendant->lock);
	free(attendant);
}

static void attendant_overdue(void *argument)
{
	struct attendant *attendant = argument;

	if (attendant->link != NULL)
		attendant->ops->overdue(attendant->link);
}

static int attendant_new(struct core *core, const struct attendant_ops *ops, struct attendant **attendant)
{
	struct attendant *new_attendant = calloc(1, sizeof(*new_attendant));
	int result = 0;

	if (new_attendant == NULL)
		return -ENOMEM;
	new_attendant->ops = ops;
	pthread_mutex_init(&new_attendant->lock, NULL);
	pthread_cond_init(&new_attendant->orders, NULL);
	pthread_cond_init(&new_attendant->resumed, NULL);
	new_attendant->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	new_attendant->timer = loop_watch_timer(core->loop, attendant_overdue, new_attendant);
	if (new_attendant->call_fd < 0 || new_attendant->timer == NULL)
		result = -errno;
	if (result == 0)
		result = thread_start(new_attendant);
	if (result < 0) {
		attendant_free(new_attendant);
		return result;
	}
	*attendant = new_attendant;
	return 0;
}

/* --- For a link --- */

static void attendant_assign(struct attendant *attendant, struct device_link *link)
{
	pthread_mutex_lock(&attendant->lock);
	attendant->link = link;
	pthread_cond_broadcast(&attendant->orders);
	pthread_mutex_unlock(&attendant->lock);
}

int attendant_take(struct core *core, struct device_link *link, const struct attendant_ops *ops,
		   struct attendant **attendant)
{
	struct attendant *taken;
	int result = 0;

	if (core->attendants == NULL) {
		result = attendant_new(core, ops, &taken);
	} else {
		taken = TAILQ_FIRST(&core->attendants->spare);
		if (taken == NULL)
			result = -ENOSPC;
		else
			TAILQ_REMOVE(&core->attendants->spare, taken, entry);
	}
	if (result < 0)
		return result;
	*attendant = taken;
	attendant_assign(taken, link);
	return 0;
}

int attendant_release(struct attendant *attendant, const struct seccomp_filter *filter)
{
	int result;

	pthread_mutex_lock(&attendant->lock);
	attendant->released = true;
	attendant->filter = filter;
	pthread_cond_broadcast(&attendant->orders);
	while (attendant->filter != NULL)
		pthread_cond_wait(&attendant->resumed, &attendant->lock);
	result = attendant->seal_error;
	pthread_mutex_unlock(&attendant->lock);
	return result;
}

void attendant_give(struct core *core, struct attendant *attendant)
{
	eventfd_t count;

	loop_timer_disarm(attendant->timer);
	pthread_mutex_lock(&attendant->lock);
	/* One that was not released has not begun to serve it. */
	if (!attendant->released)
		attendant->link = NULL;
	pthread_cond_broadcast(&attendant->orders);
	while (attendant->link != NULL)
		pthread_cond_wait(&attendant->resumed, &attendant->lock);
	pthread_mutex_unlock(&attendant->lock);
	if (core->attendants == NULL) {
		attendant_free(attendant);
		return;
	}
	/* It is ours alone, and does not block. */
	(void)eventfd_read(attendant->call_fd, &count);
	TAILQ_INSERT_TAIL(&core->attendants->spare, attendant, entry);
}

/* --- Spare ones --- */

int attendants_stock(struct core *core, const struct attendant_ops *ops, unsigned count)
{
	struct attendants *attendants = calloc(1, sizeof(*attendants));
	int result = 0;

	if (attendants == NULL)
		return -ENOMEM;
	TAILQ_INIT(&attendants->spare);
	for (unsigned i = 0; i < count && result == 0; i++) {
		struct attendant *attendant;

		result = attendant_new(core, ops, &attendant);
		if (result == 0)
			TAILQ_INSERT_TAIL(&attendants->spare, attendant, entry);
	}
	core->attendants = attendants;
	return result;
}

int attendants_release(struct core *core, const struct seccomp_filter *filter)
{
	struct attendant *attendant;
	int result = 0;

	TAILQ_FOREACH (attendant, &core->attendants->spare, entry) {
		int released = attendant_release(attendant, filter);

		result = result < 0 ? result : released;
	}
	return result;
}

void attendants_free(struct core *core)
{
	struct attendant *attendant;

	if (core->attendants == NULL)
		return;
	while ((attendant = TAILQ_FIRST(&core->attendants->spare)) != NULL) {
		TAILQ_REMOVE(&core->attendants->spare, attendant, entry);
		attendant_free(attendant);
	}
	free(core->attendants);
	core->attendants = NULL;
}
