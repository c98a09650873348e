/* What device-bench counts with: its latencies, and the frames that it sends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/bench/bench_clock.h"
#include "tests/bench/bench_frames.h"
#include "tests/bench/bench_say.h"

void bench_fail(const char *format, ...)
{
	(void)format;
	abort();
}

static void assert_near(uint64_t value, uint64_t expected)
{
	uint64_t apart = value > expected ? value - expected : expected - value;

	/* One class, and the rounding of small values. */
	assert_true(apart <= expected / 128 + 1);
}

static void percentiles_are_those_of_the_values(void **state)
{
	static const uint64_t scales[] = {1, 3, 1000, 123456, UINT64_C(1) << 40};
	struct bench_latencies *latencies = malloc(sizeof(*latencies));

	(void)state;
	assert_non_null(latencies);
	for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++) {
		memset(latencies, 0, sizeof(*latencies));
		for (uint64_t value = 1; value <= 1000; value++)
			bench_latency_add(latencies, value * scales[i]);
		assert_int_equal(latencies->count, 1000);
		assert_near(bench_latency_permille(latencies, 1), scales[i]);
		assert_near(bench_latency_permille(latencies, 500), 500 * scales[i]);
		assert_near(bench_latency_permille(latencies, 990), 990 * scales[i]);
		assert_near(bench_latency_permille(latencies, 999), 999 * scales[i]);
		assert_near(bench_latency_permille(latencies, 1000), 1000 * scales[i]);
	}
	free(latencies);
}

static void each_latency_has_a_class(void **state)
{
	struct bench_latencies *latencies = malloc(sizeof(*latencies));

	(void)state;
	assert_non_null(latencies);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t values[] = {UINT64_C(1) << bit, (UINT64_C(1) << bit) - 1, UINT64_MAX >> (63 - bit)};

		for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
			memset(latencies, 0, sizeof(*latencies));
			bench_latency_add(latencies, values[i]);
			assert_near(bench_latency_permille(latencies, 999), values[i]);
		}
	}
	memset(latencies, 0, sizeof(*latencies));
	assert_int_equal(bench_latency_permille(latencies, 500), 0);
	free(latencies);
}

static uint16_t ones_complement_sum(const uint8_t *bytes, size_t size, uint32_t sum)
{
	for (size_t i = 0; i < size; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	while (sum > 0xffff)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* As a receiver looks at it: RFC 1071. The checksum of TCP is left to who sends the segment on, who begins with what is
 * in its place. */
static void a_segment_has_right_headers(void **state)
{
	static const uint8_t destination[] = {2, 0, 0, 0, 0, 1};
	static uint8_t frame[BENCH_FRAME_MAX];
	struct virtio_net_hdr header;
	uint8_t *ip = frame + 14, *tcp = frame + 34;
	uint32_t segment = BENCH_FRAME_MAX - 34;
	uint16_t sum;

	(void)state;
	bench_frame_make(BENCH_FRAME_SEGMENT, BENCH_FRAME_MAX, destination, 7, &header, frame);
	assert_memory_equal(frame, destination, sizeof(destination));
	assert_int_equal(ones_complement_sum(ip, 20, 0), 0xffff);
	assert_int_equal(ip[2] << 8 | ip[3], BENCH_FRAME_MAX - 14);
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_TCPV4);
	assert_int_equal(header.csum_start, 34);
	/* Completed as virtio says: the sum from csum_start on goes where csum_offset says. */
	sum = (uint16_t)~ones_complement_sum(tcp, segment, 0);
	tcp[header.csum_offset] = (uint8_t)(sum >> 8);
	tcp[header.csum_offset + 1] = (uint8_t)sum;
	assert_int_equal(ones_complement_sum(tcp, segment, ones_complement_sum(ip + 12, 8, 6 + segment)),
			 0xffff);
}

static void frames_of_other_seeds_are_others(void **state)
{
	static const uint8_t destination[] = {2, 0, 0, 0, 0, 1};
	uint8_t one[64], other[64];
	struct virtio_net_hdr header;

	(void)state;
	bench_frame_make(BENCH_FRAME_PLAIN, sizeof(one), destination, 1, &header, one);
	bench_frame_make(BENCH_FRAME_PLAIN, sizeof(other), destination, 2, &header, other);
	assert_memory_equal(one, other, 14);
	assert_memory_not_equal(one, other, sizeof(one));
	assert_int_equal(header.gso_type, VIRTIO_NET_HDR_GSO_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(percentiles_are_those_of_the_values),
		cmocka_unit_test(each_latency_has_a_class),
		cmocka_unit_test(a_segment_has_right_headers),
		cmocka_unit_test(frames_of_other_seeds_are_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
