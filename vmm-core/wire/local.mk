# The wires to devices' processes: links, back ends and their kinds, serial ports.
vmm_core_libcore_la_SOURCES += \
	vmm-core/wire/attendant.c vmm-core/wire/attendant.h \
	vmm-core/wire/backend.h \
	vmm-core/wire/backend_vhost_user.c vmm-core/wire/backend_vhost_user.h \
	vmm-core/wire/device_link.c vmm-core/wire/device_link.h \
	vmm-core/wire/inflight_memory.c vmm-core/wire/inflight_memory.h \
	vmm-core/wire/serial_port.c vmm-core/wire/serial_port.h \
	vmm-core/wire/vfio_user_client.c vmm-core/wire/vfio_user_client.h \
	vmm-core/wire/vhost_user_frontend.c vmm-core/wire/vhost_user_frontend.h
