/*
 * The record of a disk or a network as a process left it that had been taken over by its guest. Held to it: it is
 * refused, or what is taken over is inside of its bounds, works, and comes out of the page again as it was.
 *
 * Input: a byte that says whose record (bit 0), and whether the page's beginning or the record that counts (bit 1) is
 * replaced by what follows, and how much of it (two bytes; the rest is as one of ours would have left it); that; then
 * frames for the filter, of NET_FILTER_LOOK bytes each. The checksum is made right.
 */
#include <string.h>

#include "common/ring/device_state.h"
#include "common/spec/virtio_spec.h"
#include "dev-blk/blk_state.h"
#include "dev-blk/virtio_blk_spec.h"
#include "dev-net/net_header.h"
#include "dev-net/net_state.h"
#include "dev-net/virtio_net_spec.h"
#include "tests/fuzz/fuzz_support.h"

#define NET_OFFERED                                                               \
	(VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VLAN) |  \
	 VIRTIO_BIT(VIRTIO_NET_F_CTRL_RX) | VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) | \
	 VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) | VIRTIO_BIT(VIRTIO_F_VERSION_1))
#define BLK_OFFERED                                                             \
	(VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
	 VIRTIO_BIT(VIRTIO_F_VERSION_1))

static int page_fd = -1;

static void page_replace(struct device_state *state, struct fuzz_input *input, bool of_record)
{
	struct device_state_page *page = state->page;
	struct device_state_slot *slot = &page->slots[page->commits & 1];
	size_t size;
	const uint8_t *bytes = fuzz_take(
		input, fuzz_take_u16(input) % (of_record ? sizeof(slot->record) : sizeof(*page)), &size);

	if (size > 0)
		memcpy(of_record ? (void *)slot->record : page, bytes, size);
	fuzz_seal(page);
	device_state_close(state);
}

static void port_check(const struct net_port *port, struct fuzz_input *input)
{
	const struct net_filter *filter = &port->filter;

	fuzz_require((port->features & ~NET_OFFERED) == 0);
	fuzz_require((port->offloads & ~(port->features & net_guest_offloads)) == 0);
	fuzz_require(filter->unicast.count <= NET_FILTER_ADDRESSES);
	fuzz_require(filter->multicast.count <= NET_FILTER_ADDRESSES);
	while (input->size > 0) {
		uint8_t frame[NET_FILTER_LOOK] = {0};
		size_t size;
		const uint8_t *bytes = fuzz_take(input, sizeof(frame), &size);

		memcpy(frame, bytes, size);
		if (net_filter_open(filter))
			fuzz_require(net_filter_accepts(filter, frame, sizeof(frame)));
		else
			net_filter_accepts(filter, frame, sizeof(frame));
	}
}

static void run_net(struct fuzz_input *input, bool of_record)
{
	static const uint8_t mac[] = {0x52, 0x54, 0, 0, 0, 1};
	struct net_port port = {.features = NET_OFFERED, .offloads = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)};
	struct net_port taken = {0}, again = {0};
	struct device_state state;
	bool announce = false, announce_again = false;

	net_filter_reset(&port.filter, mac);
	net_filter_set_vlan(&port.filter, 5, true);
	fuzz_require(net_state_open(&state, page_fd) == 0);
	net_state_begin(&state, &port, false);
	net_state_commit(&state, &port, true);
	page_replace(&state, input, of_record);

	fuzz_require(net_state_open(&state, page_fd) == 0);
	if (net_state_take_over(&state, NET_OFFERED, &taken, &announce) == NULL) {
		port_check(&taken, input);
		net_state_commit(&state, &taken, announce);
		fuzz_require(net_state_take_over(&state, NET_OFFERED, &again, &announce_again) == NULL);
		fuzz_require(memcmp(&taken, &again, sizeof(taken)) == 0 && announce == announce_again);
	} else {
		fuzz_require(taken.features == 0 && !announce);
	}
	device_state_close(&state);
}

static void run_blk(struct fuzz_input *input, bool of_record)
{
	struct blk_record record = {.features = BLK_OFFERED, .writeback = 0}, taken = {0}, again = {0};
	struct device_state state;

	fuzz_require(blk_state_open(&state, page_fd) == 0);
	device_state_begin(&state, &record);
	device_state_commit(&state, &record);
	page_replace(&state, input, of_record);

	fuzz_require(blk_state_open(&state, page_fd) == 0);
	if (blk_state_take(&state, BLK_OFFERED, &taken) == NULL) {
		fuzz_require((taken.features & ~BLK_OFFERED) == 0 && taken.writeback <= 1);
		fuzz_require(taken.lost <= 0 && taken.lost > -4096);
		device_state_commit(&state, &taken);
		fuzz_require(blk_state_take(&state, BLK_OFFERED, &again) == NULL);
		fuzz_require(memcmp(&taken, &again, sizeof(taken)) == 0);
	} else {
		fuzz_require(taken.features == 0 && taken.lost == 0);
	}
	device_state_close(&state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = {data, size};
	uint8_t flags;

	if (page_fd < 0) {
		fuzz_quiet_log();
		fuzz_require(state_page_create(&page_fd) == 0);
	}
	flags = fuzz_take_u8(&input);
	if (flags & 1)
		run_net(&input, (flags & 2) != 0);
	else
		run_blk(&input, (flags & 2) != 0);
	return 0;
}
