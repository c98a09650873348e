# config/: the config file of a VM; libraries that know no loop and open nothing but that file. What reads YAML is one of its
# own: who only has to know what a config says does not link it.
noinst_LTLIBRARIES += config/libconfig.la config/libconfigfile.la
config_libconfig_la_SOURCES = \
	config/config.c config/config.h \
	config/config_check.c config/config_check.h \
	config/config_lines.c config/config_lines.h \
	config/config_pack.c config/config_pack.h \
	config/config_schema.c config/config_schema.h \
	config/config_value.c config/config_value.h \
	config/launch.c config/launch.h \
	config/nearest.c config/nearest.h \
	config/problem.c config/problem.h
# The schema is told in libcyaml's types.
config_libconfig_la_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS)
config_libconfig_la_LIBADD = common/libcommon.la

config_libconfigfile_la_SOURCES = \
	config/config_load.c config/config_load.h \
	config/config_tree.c config/config_tree.h
config_libconfigfile_la_CFLAGS = $(AM_CFLAGS) $(CYAML_CFLAGS) $(YAML_CFLAGS)
config_libconfigfile_la_LIBADD = config/libconfig.la $(CYAML_LIBS) $(YAML_LIBS)

dist_man_MANS += docs/man/atoll.yaml.5
