/*
 * The framing of the control wire: an Envelope to bytes and back, with the limits that both ends keep.
 *
 * One packet holds one Envelope. Whatever does not parse, is longer than CONTROL_FRAME_MAX, has no body that
 * we know, or names another number of descriptors than came, is -EPROTO. Values are for whoever takes the
 * message to judge: an enumeration may hold any number, and text any bytes.
 */
#ifndef ATOLL_PROTO_CONTROL_FRAME_H
#define ATOLL_PROTO_CONTROL_FRAME_H

#include <stddef.h>
#include <stdint.h>

#include "proto/control.pb-c.h"

/* Bytes of a packet at most; below the default socket buffer. */
#define CONTROL_FRAME_MAX 65536
/* Descriptors of a packet at most. */
#define CONTROL_FRAME_FDS_MAX 8

/* Writes the envelope into frame[0..CONTROL_FRAME_MAX) and its size into *size. 0 or -EMSGSIZE. */
int control_frame_pack(const Atoll__Control__Envelope *envelope, uint8_t *frame, size_t *size);

/*
 * Parses a packet that came with fd_count descriptors. On success *envelope is the caller's, to be freed with
 * atoll__control__envelope__free_unpacked(*envelope, NULL). 0, -EPROTO or -ENOMEM.
 */
int control_frame_unpack(const uint8_t *frame, size_t size, size_t fd_count,
			 Atoll__Control__Envelope **envelope);

#endif
