/* The frames that a network device's process is measured with. */
#ifndef ATOLL_TESTS_BENCH_BENCH_FRAMES_H
#define ATOLL_TESTS_BENCH_BENCH_FRAMES_H

#include <stdbool.h>
#include <stdint.h>

#include "dev-net/virtio_net_spec.h"

/* One byte more and Linux does not hand it to an interface whole (netif_skb_features(): gso_max_size). */
#define BENCH_FRAME_MAX 65535u

enum bench_frame_kind {
	BENCH_FRAME_PLAIN,   /* of a protocol that nobody speaks; up to an Ethernet frame */
	BENCH_FRAME_SEGMENT, /* TCP in IPv4, to be cut into Ethernet frames by who sends it on: offloads */
};

/*
 * Writes a frame of `bytes` for `destination`, and the virtio-net header that goes in front of it. What is behind the
 * protocols' headers differs with `seed`.
 */
void bench_frame_make(enum bench_frame_kind kind, uint32_t bytes, const uint8_t *destination, uint32_t seed,
		      struct virtio_net_hdr *header, uint8_t *frame);

#endif
