/* Receiving: see net_rx.h. */
#include "dev-net/net_rx.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "common/base/log.h"
#include "common/spec/virtio_spec.h"
#include "dev-net/net_header.h"

/*
 * One readv(2) takes our copy of the header, the window, and memory of ours for what does not fit: a tap's MTU may be
 * raised at any time, so that a frame may be longer than any before. The iovec before the window's first is free for
 * the header's copy (iov[0] at least), and the one behind its last for that memory.
 */
#define WINDOW_IOVS (IOV_MAX - 2)
/* The window is moved back to the front when it is this far from there: few enough that little memory is
 * touched. */
#define WINDOW_DRIFT 128
#define CHAINS_ROOM  (WINDOW_DRIFT + WINDOW_IOVS)
#define IOVS_ROOM    (1 + WINDOW_DRIFT + WINDOW_IOVS + 1)

#define HELD_ROOM (NET_HEADER_SIZE + NET_FRAME_MAX)

int net_rx_init(struct net_rx *rx, struct net_port *port)
{
	*rx = (struct net_rx){
		.port = port,
		.chains = malloc(CHAINS_ROOM * sizeof(*rx->chains)),
		.iov = malloc(IOVS_ROOM * sizeof(*rx->iov)),
		.popped = malloc(sizeof(*rx->popped)),
		.held = malloc(HELD_ROOM + 1),
	};
	return rx->chains != NULL && rx->iov != NULL && rx->popped != NULL && rx->held != NULL ? 0 : -ENOMEM;
}

void net_rx_free(struct net_rx *rx)
{
	free(rx->chains);
	free(rx->iov);
	free(rx->popped);
	free(rx->held);
	*rx = (struct net_rx){0};
}

/* --- The window --- */

static void window_empty(struct net_rx *rx)
{
	rx->first = 0;
	rx->count = 0;
	rx->iov_first = 1;
	rx->iov_count = 0;
	rx->bytes = 0;
}

static void window_move_to_front(struct net_rx *rx)
{
	memmove(rx->chains, rx->chains + rx->first, rx->count * sizeof(*rx->chains));
	memmove(rx->iov + 1, rx->iov + rx->iov_first, rx->iov_count * sizeof(*rx->iov));
	rx->first = 0;
	rx->iov_first = 1;
}

/* Takes the popped chain over; false when it has more pieces than there is room for. */
static bool window_add(struct net_rx *rx)
{
	const struct virtqueue_chain *popped = rx->popped;

	if (rx->iov_count + popped->in_count > WINDOW_IOVS)
		return false;
	if (rx->iov_first > WINDOW_DRIFT)
		window_move_to_front(rx);
	memcpy(rx->iov + rx->iov_first + rx->iov_count, popped->iov + popped->out_count,
	       popped->in_count * sizeof(*rx->iov));
	rx->chains[rx->first + rx->count] = (struct net_rx_chain){
		.token = popped->token,
		.iov_count = (uint16_t)popped->in_count,
		.bytes = (uint32_t)popped->in_bytes,
	};
	rx->count++;
	rx->iov_count += popped->in_count;
	rx->bytes += popped->in_bytes;
	return true;
}

/* The first chain is the guest's again. */
static void window_drop_first(struct net_rx *rx)
{
	const struct net_rx_chain *chain = &rx->chains[rx->first];

	rx->iov_first += chain->iov_count;
	rx->iov_count -= chain->iov_count;
	rx->bytes -= chain->bytes;
	rx->first++;
	rx->count--;
}

/* Copies to the beginning of the window, which has room for it. */
static void window_write(struct net_rx *rx, const void *data, size_t size)
{
	const uint8_t *from = data;

	for (const struct iovec *iov = rx->iov + rx->iov_first; size > 0; iov++) {
		size_t part = iov->iov_len < size ? iov->iov_len : size;

		memcpy(iov->iov_base, from, part);
		from += part;
		size -= part;
	}
}

/* Whether a frame can take what the window has and no more: without merging it has one chain. */
static bool window_closed(const struct net_rx *rx)
{
	return !rx->mergeable && rx->count > 0;
}

/*
 * Pops until the window has room for this many bytes. 1: it has. 0: the ring has no more. -ENOSPC: the window
 * cannot grow any more, so it never will. -EPROTO.
 */
static int window_fill(struct net_rx *rx, size_t bytes)
{
	while (rx->bytes < bytes) {
		int result;

		if (window_closed(rx) || rx->count == virtqueue_size(rx->queue))
			return -ENOSPC;
		result = virtqueue_pop(rx->queue, rx->popped);
		if (result <= 0)
			return result;
		/* 5.1.6.3.1: each buffer of the receive queue holds at least the header. */
		if (rx->popped->in_bytes < NET_HEADER_SIZE) {
			virtqueue_rewind(rx->queue, &rx->popped->token);
			virtqueue_break(rx->queue, "a receive buffer is smaller than a header");
			return -EPROTO;
		}
		if (!window_add(rx)) {
			virtqueue_rewind(rx->queue, &rx->popped->token);
			if (rx->count > 0)
				return -ENOSPC;
			/* It would wait for ever, and so would all behind it. */
			virtqueue_break(rx->queue, "a receive buffer has too many pieces");
			return -EPROTO;
		}
	}
	return 1;
}

/* --- Start and stop --- */

void net_rx_start(struct net_rx *rx, struct virtqueue *queue)
{
	rx->queue = queue;
	rx->mergeable = (rx->port->features & VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF)) != 0;
	window_empty(rx);
}

void net_rx_stop(struct net_rx *rx)
{
	if (rx->queue == NULL)
		return;
	for (size_t i = rx->count; i-- > 0;)
		virtqueue_rewind(rx->queue, &rx->chains[rx->first + i].token);
	window_empty(rx);
	rx->queue = NULL;
}

void net_rx_drop_held(struct net_rx *rx)
{
	rx->held_bytes = 0;
}

/*
 * What the window should have room for. Looked at in each run, since offloads may change in between. A frame that is
 * not to be segmented is no longer than the tap's MTU; that this was raised is seen by a longer frame.
 */
static size_t rx_wanted(const struct net_port *port)
{
	const uint64_t segmented = net_guest_offloads & ~(VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
							  VIRTIO_BIT(VIRTIO_NET_F_GUEST_ECN));
	size_t plain = NET_FRAME_MIN + 2 * 4 + (size_t)port->mtu_max;

	if (plain < port->longest_frame)
		plain = port->longest_frame;
	if ((port->offloads & segmented) != 0 || plain > NET_FRAME_MAX)
		return HELD_ROOM;
	return NET_HEADER_SIZE + plain;
}

/* --- A frame's way --- */

/* Whether the guest gets a frame, of whose bytes `look` is the beginning; if not, the reason is counted. */
static bool rx_judge(struct net_rx *rx, struct virtio_net_hdr *header, const uint8_t *look,
		     size_t frame_bytes)
{
	struct net_port *port = rx->port;

	if (frame_bytes < NET_FRAME_MIN) {
		net_count(port, NET_COUNTER_RX_ERRORS, 1);
		return false;
	}
	if (!net_filter_open(&port->filter) &&
	    !net_filter_accepts(&port->filter, look,
				frame_bytes < NET_FILTER_LOOK ? frame_bytes : NET_FILTER_LOOK)) {
		net_count(port, NET_COUNTER_RX_DROPPED_FILTER, 1);
		return false;
	}
	if (!net_header_from_tap(port->offloads, header)) {
		net_count(port, NET_COUNTER_RX_DROPPED_OFFLOAD, 1);
		return false;
	}
	return true;
}

/* How many chains of the window `bytes` take. */
static uint16_t rx_buffers_for(const struct net_rx *rx, size_t bytes)
{
	uint16_t buffers = 0;

	for (size_t room = 0; room < bytes; buffers++)
		room += rx->chains[rx->first + buffers].bytes;
	return buffers;
}

/* The frame lies in the window, behind the header's place: uses as many chains as it takes. */
static void rx_deliver(struct net_rx *rx, struct virtio_net_hdr *header, size_t bytes)
{
	net_count(rx->port, NET_COUNTER_RX_PACKETS, 1);
	net_count(rx->port, NET_COUNTER_RX_BYTES, bytes - NET_HEADER_SIZE);
	/* 5.1.6.4.1: without merging, num_buffers is 1. */
	header->num_buffers = rx_buffers_for(rx, bytes);
	window_write(rx, header, sizeof(*header));
	while (bytes > 0) {
		const struct net_rx_chain *chain = &rx->chains[rx->first];
		uint32_t part = chain->bytes < bytes ? chain->bytes : (uint32_t)bytes;

		virtqueue_push(rx->queue, &chain->token, part);
		bytes -= part;
		window_drop_first(rx);
	}
}

/* What a read of the tap that brought no frame means. */
static enum net_progress rx_no_frame(struct net_rx *rx, ssize_t size)
{
	int error = size < 0 ? errno : 0;

	switch (error) {
	case EAGAIN:
		return NET_PROGRESS_IDLE;
	case 0:
	case EBADF:
	case EBADFD:
	case ENODEV:
	case ENXIO:
		return NET_PROGRESS_GONE;
	default:
		/* The frame is lost, to a hole in guest memory for instance; the next one may come. */
		if (error != EINTR)
			net_count(rx->port, NET_COUNTER_RX_ERRORS, 1);
		return NET_PROGRESS_MORE;
	}
}

/*
 * The header's place: the first NET_HEADER_SIZE bytes of the window, which may lie across several buffers. The guest
 * finds the frame behind them. What the tap says in its header is judged and completed first, so it is read into a copy
 * of ours, and for the time of the read its place is cut off the window's first iovecs:
 *
 *   window           [ place | frame ... ][ frame ... ]
 *   readv    [ copy ]        [ frame ... ][ frame ... ][ our memory ]
 *
 * Then the iovecs are put back as they were, and rx_deliver() writes the header into its place.
 */
struct header_place {
	size_t count;			     /* of the iovecs in which it lies */
	struct iovec uncut[NET_HEADER_SIZE]; /* these, before; none is empty */
};

static void header_place_cut(struct net_rx *rx, struct header_place *place)
{
	struct iovec *iov = rx->iov + rx->iov_first;
	size_t left = NET_HEADER_SIZE;

	place->count = 0;
	while (left > 0) {
		size_t part = iov->iov_len < left ? iov->iov_len : left;

		place->uncut[place->count++] = *iov;
		iov->iov_base = (uint8_t *)iov->iov_base + part;
		iov->iov_len -= part;
		left -= part;
		iov++;
	}
}

static void header_place_restore(struct net_rx *rx, const struct header_place *place)
{
	memcpy(rx->iov + rx->iov_first, place->uncut, place->count * sizeof(place->uncut[0]));
}

/* The first bytes of a frame that was read, from the window without the header's place. */
static void rx_look(const struct net_rx *rx, uint8_t *look, size_t size)
{
	for (const struct iovec *iov = rx->iov + rx->iov_first; size > 0; iov++) {
		size_t part = iov->iov_len < size ? iov->iov_len : size;

		memcpy(look, iov->iov_base, part);
		look += part;
		size -= part;
	}
}

/* A frame that nothing of the guest's can hold. Said once a session: what follows is counted. */
static void rx_too_large(struct net_rx *rx, size_t size)
{
	net_count(rx->port, NET_COUNTER_RX_DROPPED_TOO_LARGE, 1);
	if (rx->too_large_logged)
		return;
	rx->too_large_logged = true;
	log_warning("a frame of %zu bytes was dropped, for the guest's receive buffers take less; it and "
		    "those that follow are counted as rx-dropped-too-large; give the tap an MTU that the "
		    "guest has too",
		    size < NET_HEADER_SIZE ? 0 : size - NET_HEADER_SIZE);
}

/*
 * A frame that was read into the window, and for the rest into our own memory: longer than was to be expected. All of
 * it is gathered there.
 */
static void rx_gather(struct net_rx *rx, const struct virtio_net_hdr *header, size_t size)
{
	size_t in_window = rx->bytes - NET_HEADER_SIZE;
	uint8_t *to = rx->held + NET_HEADER_SIZE;

	memmove(to + in_window, rx->held, size - rx->bytes);
	rx_look(rx, to, in_window);
	memcpy(rx->held, header, sizeof(*header));
	rx->held_bytes = size;
}

/* Reads one frame: its header into the copy, the frame into the window, what is more into our own memory. */
static ssize_t rx_readv(struct net_rx *rx, struct virtio_net_hdr *header)
{
	struct iovec *first = rx->iov + rx->iov_first - 1;

	first[0] = (struct iovec){.iov_base = header, .iov_len = sizeof(*header)};
	first[1 + rx->iov_count] = (struct iovec){.iov_base = rx->held, .iov_len = HELD_ROOM + 1};
	return readv(rx->port->tap_fd, first, (int)rx->iov_count + 2);
}

/* Whether the frame in the window is for the guest. One that is longer than the window is gathered or dropped. */
static bool rx_take(struct net_rx *rx, struct virtio_net_hdr *header, size_t size)
{
	size_t frame_bytes = size < NET_HEADER_SIZE ? 0 : size - NET_HEADER_SIZE;
	uint8_t look[NET_FILTER_LOOK];

	if (size > HELD_ROOM || (size > rx->bytes && !rx->mergeable)) {
		rx_too_large(rx, size);
		return false;
	}
	if (size > rx->bytes) {
		rx_gather(rx, header, size);
		return false;
	}
	if (!net_filter_open(&rx->port->filter))
		rx_look(rx, look, frame_bytes < sizeof(look) ? frame_bytes : sizeof(look));
	return rx_judge(rx, header, look, frame_bytes);
}

/* Reads one frame into the window. MORE: done with it, or it is held. */
static enum net_progress rx_read_direct(struct net_rx *rx)
{
	struct virtio_net_hdr header;
	struct header_place place;
	bool wanted;
	ssize_t size;

	header_place_cut(rx, &place);
	size = rx_readv(rx, &header);
	wanted = size > 0 && rx_take(rx, &header, (size_t)size);
	header_place_restore(rx, &place);
	if (size <= 0)
		return rx_no_frame(rx, size);
	if (wanted)
		rx_deliver(rx, &header, (size_t)size);
	return NET_PROGRESS_MORE;
}

/* Whether the guest gets the frame in our own memory, which may have waited while the rules changed. */
static bool rx_held_wanted(struct net_rx *rx)
{
	struct virtio_net_hdr header;
	size_t frame_bytes = rx->held_bytes < NET_HEADER_SIZE ? 0 : rx->held_bytes - NET_HEADER_SIZE;

	if (!rx->port->link_up) {
		net_count(rx->port, NET_COUNTER_RX_DROPPED_LINK_DOWN, 1);
		return false;
	}
	memcpy(&header, rx->held, sizeof(header));
	if (!rx_judge(rx, &header, rx->held + NET_HEADER_SIZE, frame_bytes))
		return false;
	memcpy(rx->held, &header, sizeof(header));
	return true;
}

/* A frame came into our own memory: it is held, if it is wanted. */
static void rx_hold(struct net_rx *rx)
{
	if (rx_held_wanted(rx))
		net_count(rx->port, NET_COUNTER_RX_HELD, 1);
	else
		rx->held_bytes = 0;
}

/* A frame is there that was longer than was expected. From now on its length is. */
static void rx_hold_longer(struct net_rx *rx)
{
	size_t frame_bytes = rx->held_bytes - NET_HEADER_SIZE;

	rx_hold(rx);
	if (rx->held_bytes > 0 && frame_bytes > rx->port->longest_frame)
		rx->port->longest_frame = (uint32_t)frame_bytes;
}

/* Reads one frame into our own memory and holds it, if it is wanted. MORE: done with it. */
static enum net_progress rx_read_held(struct net_rx *rx)
{
	ssize_t size = read(rx->port->tap_fd, rx->held, HELD_ROOM + 1);

	if (size <= 0)
		return rx_no_frame(rx, size);
	if (size > HELD_ROOM) {
		rx_too_large(rx, (size_t)size);
		return NET_PROGRESS_MORE;
	}
	rx->held_bytes = (size_t)size;
	rx_hold(rx);
	return NET_PROGRESS_MORE;
}

/* Gives the guest the held frame. MORE: done with it; BLOCKED: it does not fit yet. */
static enum net_progress rx_deliver_held(struct net_rx *rx)
{
	struct virtio_net_hdr header;
	int result = window_fill(rx, rx->held_bytes);

	if (result == -EPROTO)
		return NET_PROGRESS_BROKEN;
	if (result == 0)
		return NET_PROGRESS_BLOCKED;
	if (result == 1) {
		memcpy(&header, rx->held, sizeof(header));
		window_write(rx, rx->held, rx->held_bytes);
		rx_deliver(rx, &header, rx->held_bytes);
	} else {
		rx_too_large(rx, rx->held_bytes);
	}
	rx->held_bytes = 0;
	return NET_PROGRESS_MORE;
}

static enum net_progress rx_frame(struct net_rx *rx)
{
	int result = window_fill(rx, rx->wanted);
	enum net_progress progress;

	if (result == -EPROTO)
		return NET_PROGRESS_BROKEN;
	/* The ring is empty, too. */
	if (rx->count == 0)
		return NET_PROGRESS_BLOCKED;
	if (result == 1 || !rx->mergeable) {
		progress = rx_read_direct(rx);
		if (rx->held_bytes > 0)
			rx_hold_longer(rx);
	} else {
		progress = rx_read_held(rx);
	}
	if (progress == NET_PROGRESS_MORE && rx->held_bytes > 0)
		progress = rx_deliver_held(rx);
	return progress;
}

/* A frame's header is as much as is read of it while nobody may have it: the tap throws the rest away. */
static enum net_progress rx_discard(struct net_rx *rx)
{
	struct virtio_net_hdr header;
	ssize_t size = read(rx->port->tap_fd, &header, sizeof(header));

	if (size <= 0)
		return rx_no_frame(rx, size);
	net_count(rx->port, NET_COUNTER_RX_DROPPED_LINK_DOWN, 1);
	return NET_PROGRESS_MORE;
}

enum net_progress net_rx_run(struct net_rx *rx, unsigned *budget)
{
	enum net_progress progress = NET_PROGRESS_MORE;

	rx->wanted = rx_wanted(rx->port);
	if (rx->held_bytes > 0 && !rx_held_wanted(rx))
		rx->held_bytes = 0;
	if (rx->held_bytes > 0)
		progress = rx_deliver_held(rx);
	for (; progress == NET_PROGRESS_MORE && *budget > 0; (*budget)--)
		progress = rx->port->link_up ? rx_frame(rx) : rx_discard(rx);
	if (virtqueue_complete(rx->queue))
		net_count(rx->port, NET_COUNTER_RX_INTERRUPTS, 1);
	return progress;
}
