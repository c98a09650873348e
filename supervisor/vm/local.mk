# One VM's life: its processes, started, configured, watched, replaced and ended.
supervisor_libsupervisor_la_SOURCES += \
	supervisor/vm/child_output.c supervisor/vm/child_output.h \
	supervisor/vm/child_process.c supervisor/vm/child_process.h \
	supervisor/vm/device_message.c supervisor/vm/device_message.h \
	supervisor/vm/device_state.c supervisor/vm/device_state.h \
	supervisor/vm/heartbeat.c supervisor/vm/heartbeat.h \
	supervisor/vm/restart.c supervisor/vm/restart.h \
	supervisor/vm/spawn.c supervisor/vm/spawn.h \
	supervisor/vm/starter.c supervisor/vm/starter.h \
	supervisor/vm/supervisor_seal.c supervisor/vm/supervisor_seal.h \
	supervisor/vm/vm.c supervisor/vm/vm.h supervisor/vm/vm_parts.h \
	supervisor/vm/vm_configure.c supervisor/vm/vm_configure.h \
	supervisor/vm/vm_console_file.c supervisor/vm/vm_console_file.h \
	supervisor/vm/vm_device.c supervisor/vm/vm_device.h \
	supervisor/vm/vm_devices.c supervisor/vm/vm_devices.h \
	supervisor/vm/vm_end.c supervisor/vm/vm_end.h \
	supervisor/vm/vm_memory.c supervisor/vm/vm_memory.h \
	supervisor/vm/vm_orders.c supervisor/vm/vm_orders.h \
	supervisor/vm/vm_query.c supervisor/vm/vm_query.h \
	supervisor/vm/vm_undertaker.c supervisor/vm/vm_undertaker.h
