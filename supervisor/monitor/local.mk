# What others may ask of a running VM.
supervisor_libsupervisor_la_SOURCES += \
	supervisor/monitor/monitor.c supervisor/monitor/monitor.h
