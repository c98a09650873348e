/*
 * The framing of the control wire. protobuf-c checks the encoding; what it leaves to us is checked here: a
 * limit on sizes, a body that is there, and the number of descriptors.
 */
#include "proto/control_frame.h"

#include <errno.h>

int control_frame_pack(const Atoll__Control__Envelope *envelope, uint8_t *frame, size_t *size)
{
	size_t needed = atoll__control__envelope__get_packed_size(envelope);

	if (needed > CONTROL_FRAME_MAX)
		return -EMSGSIZE;
	*size = atoll__control__envelope__pack(envelope, frame);
	return 0;
}

int control_frame_unpack(const uint8_t *frame, size_t size, size_t fd_count,
			 Atoll__Control__Envelope **envelope)
{
	Atoll__Control__Envelope *parsed;

	if (size == 0 || size > CONTROL_FRAME_MAX || fd_count > CONTROL_FRAME_FDS_MAX)
		return -EPROTO;
	parsed = atoll__control__envelope__unpack(NULL, size, frame);
	if (parsed == NULL)
		return -EPROTO;
	if (parsed->body_case == ATOLL__CONTROL__ENVELOPE__BODY__NOT_SET || parsed->fd_count != fd_count) {
		atoll__control__envelope__free_unpacked(parsed, NULL);
		return -EPROTO;
	}
	*envelope = parsed;
	return 0;
}
