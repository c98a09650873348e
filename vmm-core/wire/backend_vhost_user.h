/*
 * A process that speaks vhost-user, as a back end (backend.h): connect() takes a stream socket that is connected to it,
 * and negotiates. How long a silent one is waited for, and what of the protocol is used, is in vhost_user_frontend.h.
 *
 * Source: QEMU docs/interop/vhost-user.rst.
 */
#ifndef ATOLL_VMM_CORE_WIRE_BACKEND_VHOST_USER_H
#define ATOLL_VMM_CORE_WIRE_BACKEND_VHOST_USER_H

#include "vmm-core/wire/backend.h"

extern const struct backend_ops backend_vhost_user;

#endif
