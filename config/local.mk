# config/: the config file of a VM; a library that knows no loop and opens nothing but that file.
noinst_LTLIBRARIES += config/libconfig.la
config_libconfig_la_SOURCES = \
	config/config.c config/config.h \
	config/config_check.c config/config_check.h \
	config/config_lines.c config/config_lines.h \
	config/config_load.c config/config_load.h \
	config/config_schema.c config/config_schema.h \
	config/config_tree.c config/config_tree.h \
	config/config_value.c config/config_value.h \
	config/nearest.c config/nearest.h \
	config/problem.c config/problem.h
config_libconfig_la_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS) $(YAML_CFLAGS)
config_libconfig_la_LIBADD = common/libcommon.la $(CYAML_LIBS) $(YAML_LIBS)

dist_man_MANS += docs/man/atoll.yaml.5
