/*
 * What devices do with a chain's iovecs.
 */
#include <errno.h>
#include <string.h>

#include "common/ring/virtqueue.h"

/* Copies between data and [offset, ...) of iov[0..count); returns the bytes copied. */
static size_t iovec_copy(const struct iovec *iov, size_t count, size_t offset, void *data, size_t size,
			 bool into_iov)
{
	size_t copied = 0;

	for (size_t i = 0; i < count && copied < size; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - offset;
		if (part > size - copied)
			part = size - copied;
		if (into_iov)
			memcpy((uint8_t *)iov[i].iov_base + offset, (uint8_t *)data + copied, part);
		else
			memcpy((uint8_t *)data + copied, (uint8_t *)iov[i].iov_base + offset, part);
		copied += part;
		offset = 0;
	}
	return copied;
}

size_t virtqueue_chain_read(const struct virtqueue_chain *chain, size_t offset, void *data, size_t size)
{
	return iovec_copy(chain->iov, chain->out_count, offset, data, size, false);
}

size_t virtqueue_chain_write(const struct virtqueue_chain *chain, size_t offset, const void *data,
			     size_t size)
{
	return iovec_copy(chain->iov + chain->out_count, chain->in_count, offset, (void *)data, size, true);
}

int iovec_slice(const struct iovec *iov, size_t count, size_t offset, size_t size, struct iovec *out,
		size_t *out_count)
{
	size_t room = *out_count;
	size_t used = 0;

	for (size_t i = 0; i < count && size > 0; i++) {
		size_t part;

		if (offset >= iov[i].iov_len) {
			offset -= iov[i].iov_len;
			continue;
		}
		part = iov[i].iov_len - offset;
		if (part > size)
			part = size;
		if (used == room)
			return -ENOSPC;
		out[used++] =
			(struct iovec){.iov_base = (uint8_t *)iov[i].iov_base + offset, .iov_len = part};
		size -= part;
		offset = 0;
	}
	if (size > 0)
		return -ERANGE;
	*out_count = used;
	return 0;
}
