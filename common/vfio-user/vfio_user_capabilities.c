/*
 * The JSON of VFIO_USER_VERSION. The one text on this wire: read once a session, by jansson, with a bound on
 * its size that the stream already keeps. Written by hand, since it is one line.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "common/vfio-user/vfio_user_message.h"

/* jansson's hashes are seeded from /dev/urandom, when the first object is made. */
void vfio_user_capabilities_prepare(void)
{
	json_object_seed(0);
}

static int capability_number(const json_t *object, const char *name, uint64_t *value)
{
	const json_t *number = json_object_get(object, name);

	if (number == NULL)
		return 0;
	if (!json_is_integer(number) || json_integer_value(number) < 0)
		return -EINVAL;
	*value = (uint64_t)json_integer_value(number);
	return 0;
}

static int capability_boolean(const json_t *object, const char *name, bool *value)
{
	const json_t *boolean = json_object_get(object, name);

	if (boolean == NULL)
		return 0;
	if (!json_is_boolean(boolean))
		return -EINVAL;
	*value = json_is_true(boolean);
	return 0;
}

static int capabilities_read(const json_t *object, struct vfio_user_capabilities *capabilities)
{
	const json_t *twin_socket = json_object_get(object, "twin_socket");

	if (!json_is_object(object) || (twin_socket != NULL && !json_is_object(twin_socket)))
		return -EINVAL;
	if (capability_number(object, "max_msg_fds", &capabilities->max_msg_fds) < 0 ||
	    capability_number(object, "max_data_xfer_size", &capabilities->max_data_xfer_size) < 0 ||
	    capability_number(object, "max_dma_maps", &capabilities->max_dma_maps) < 0 ||
	    capability_number(object, "pgsizes", &capabilities->pgsizes) < 0 ||
	    capability_boolean(object, "write_multiple", &capabilities->write_multiple) < 0 ||
	    capability_boolean(twin_socket, "supported", &capabilities->twin_socket) < 0)
		return -EINVAL;
	return 0;
}

int vfio_user_capabilities_parse(const void *data, size_t size, struct vfio_user_capabilities *capabilities)
{
	struct vfio_user_capabilities read = {
		.max_msg_fds = VFIO_USER_DEFAULT_MAX_MSG_FDS,
		.max_data_xfer_size = VFIO_USER_DEFAULT_MAX_DATA_XFER_SIZE,
		.max_dma_maps = VFIO_USER_DEFAULT_MAX_DMA_MAPS,
		.pgsizes = VFIO_USER_DEFAULT_PGSIZES,
	};
	const char *text = data;
	json_t *version, *object;
	int result = 0;

	if (size == 0) {
		*capabilities = read;
		return 0;
	}
	/* "including terminating NUL" */
	if (memchr(text, '\0', size) != text + size - 1)
		return -EINVAL;
	version = json_loadb(text, size - 1, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(version)) {
		json_decref(version);
		return -EINVAL;
	}
	object = json_object_get(version, "capabilities");
	if (object != NULL)
		result = capabilities_read(object, &read);
	json_decref(version);
	if (result == 0)
		*capabilities = read;
	return result;
}

size_t vfio_user_capabilities_format(const struct vfio_user_capabilities *capabilities,
				     char text[VFIO_USER_CAPABILITIES_TEXT_MAX])
{
	int length = snprintf(text, VFIO_USER_CAPABILITIES_TEXT_MAX,
			      "{\"capabilities\":{\"max_msg_fds\":%llu,\"max_data_xfer_size\":%llu,"
			      "\"max_dma_maps\":%llu,\"pgsizes\":%llu%s%s}}",
			      (unsigned long long)capabilities->max_msg_fds,
			      (unsigned long long)capabilities->max_data_xfer_size,
			      (unsigned long long)capabilities->max_dma_maps,
			      (unsigned long long)capabilities->pgsizes,
			      capabilities->write_multiple ? ",\"write_multiple\":true" : "",
			      capabilities->twin_socket ? ",\"twin_socket\":{\"supported\":true}" : "");

	return (size_t)length + 1;
}
