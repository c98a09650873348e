/*
 * A disk, a network and a virtio-console whose processes fail for good while a driver uses them: at the hold "# begin"
 * the host lets them fail, and at "# failed" it revives them.
 */
#include "tests/guest/lib/blk.h"
#include "tests/guest/lib/net.h"

#define ALL_BLK \
	(VIRTIO_BIT(BLK_F_FLUSH) | VIRTIO_BIT(VIRTIO_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_INDIRECT_DESC))
#define ALL_NET                                                                         \
	(VIRTIO_BIT(NET_F_MAC) | VIRTIO_BIT(NET_F_STATUS) | VIRTIO_BIT(NET_F_CTRL_VQ) | \
	 VIRTIO_BIT(NET_F_CTRL_RX) | VIRTIO_BIT(NET_F_MRG_RXBUF))
#define NET_ERR 1
#define MANY	100u

static struct blk disk;
static struct net net;
static struct virtio_device console;
static struct virtqueue console_rx, console_tx;
static uint8_t *buffer;

static bool console_start(void)
{
	if (!virtio_find(VIRTIO_ID_CONSOLE, 0, &console) || !virtio_negotiate(&console, 0) ||
	    !virtqueue_setup(&console_rx, &console, 0, 16) || !virtqueue_setup(&console_tx, &console, 1, 16))
		return false;
	virtio_start(&console);
	return true;
}

static bool console_send(void)
{
	static const char text[] = "the console\n";
	struct segment segment = {text, sizeof(text) - 1};

	virtqueue_add(&console_tx, &segment, 1, 0);
	virtqueue_kick(&console_tx);
	return virtqueue_wait(&console_tx, NULL, 5) >= 0;
}

static bool link_is_up(void)
{
	uint16_t status;

	virtio_config_read(&net.device, NET_CONFIG_STATUS, &status, sizeof(status));
	return status & NET_S_LINK_UP;
}

static uint8_t promiscuous(void)
{
	static const uint8_t on = 1;

	return net_control(&net, NET_CTRL_RX, NET_CTRL_RX_PROMISC, &on, 1);
}

static bool frame_is_taken(void)
{
	static const struct net_header no_offload;
	static const uint8_t frame[60] = {255, 255, 255, 255, 255, 255, 0x52, 0x54, 0, 0, 0, 1, 0x88, 0xb5};

	return net_send(&net, &no_offload, frame, sizeof(frame), 1);
}

static bool start_all(void)
{
	return blk_start(&disk, ALL_BLK, 128, false) && net_start(&net, ALL_NET, 2048) && console_start();
}

static void test_serving(const char *when)
{
	test(blk_do(&disk, BLK_T_IN, 0, buffer, SECTOR) == BLK_S_OK && buffer[14] == '0',
	     "%s: the disk is read", when);
	test(link_is_up(), "%s: the network's link is up", when);
	test(promiscuous() == NET_OK, "%s: a command is carried out", when);
	test(frame_is_taken(), "%s: a frame is taken", when);
	test(console_send(), "%s: output is taken", when);
}

/* More than one round of them at once. */
static bool many_fail(void)
{
	static struct blk_request requests[MANY];
	struct segment data = {buffer, SECTOR};
	unsigned i, failed = 0;

	for (i = 0; i < MANY / 4; i++)
		blk_submit(&disk, &requests[i], BLK_T_IN, i, &data, 1);
	virtqueue_kick(&disk.queue);
	for (i = 0; i < MANY / 4; i++) {
		if (virtqueue_wait(&disk.queue, NULL, 5) < 0)
			return false;
	}
	for (i = 0; i < MANY / 4; i++)
		failed += requests[i].status == BLK_S_IOERR;
	return failed == MANY / 4;
}

static void test_failed(const char *when)
{
	test(blk_do(&disk, BLK_T_IN, 0, buffer, SECTOR) == BLK_S_IOERR, "%s: a read fails", when);
	test(blk_do(&disk, BLK_T_OUT, 0, buffer, SECTOR) == BLK_S_IOERR, "%s: a write fails", when);
	test(blk_do(&disk, BLK_T_FLUSH, 0, NULL, 0) == BLK_S_IOERR, "%s: a flush fails", when);
	test(many_fail(), "%s: so do many at once", when);
	test(!link_is_up(), "%s: the network's link is down", when);
	test(promiscuous() == NET_ERR, "%s: a command is refused", when);
	test(frame_is_taken(), "%s: a frame is taken and dropped", when);
	test(console_send(), "%s: output is taken and dropped", when);
	test(!(virtio_status(&disk.device) & VIRTIO_STATUS_DEVICE_NEEDS_RESET), "%s: no reset is asked for",
	     when);
}

void guest_main(void)
{
	buffer = memory_get(SECTOR, SECTOR);
	if (!blk_find(0, &disk) || !net_find(0, &net))
		guest_fail("there is no disk, or no network");
	if (!test(start_all(), "the devices start"))
		return;
	test_serving("at first");
	guest_hold("# begin");
	test_failed("failed");
	test(virtio_reset(&disk.device) && virtio_reset(&net.device) && virtio_reset(&console),
	     "failed: each is reset");
	test(start_all(), "failed: a new driver finds each and starts it");
	test_failed("failed, with a new driver");
	guest_hold("# failed");
	test_serving("revived");
	test(start_all(), "revived: a new driver starts each");
	test_serving("revived, with a new driver");
}
