/*
 * What the files of the program atoll-net share. The functions are for the table in main.c (device_program.h), with a struct
 * net_program as the device.
 */
#ifndef ATOLL_DEV_NET_NET_PROGRAM_H
#define ATOLL_DEV_NET_NET_PROGRAM_H

#include <stdbool.h>
#include <stdint.h>

#include "common/program/device_program.h"
#include "dev-net/net_device.h"

struct net_program {
	struct net_device device;
	/* Options by hand; the text is in argv. */
	const char *tap; /* NULL: not given */
	bool has_mac;
	uint8_t mac[NET_ADDRESS_SIZE];
	unsigned mtu; /* bytes; 0: the tap's */
};

/* --- net_by_hand.c --- */

extern const struct device_option net_options[];
int net_option(void *program, const char *name, const char *value);
int net_open_by_hand(void *program);

/* --- net_supervised.c --- */

int net_configure(void *program, struct device_configuration *configuration);
int net_message(void *program, struct control_message *message);
void net_statistics(void *program, struct child *child);
void net_heartbeat(void *program, Atoll__Control__HeartbeatReply *reply);

#endif
