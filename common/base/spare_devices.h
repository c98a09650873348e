/*
 * How many devices the core of a VM has parts for beside those that are attached when it starts (vmm-core/device_set.h): a
 * thread of the core for each, which its limits have to leave room for.
 */
#ifndef ATOLL_COMMON_BASE_SPARE_DEVICES_H
#define ATOLL_COMMON_BASE_SPARE_DEVICES_H

#define SPARE_DEVICES 8

#endif
