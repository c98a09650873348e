/*
 * A config as bytes, for the program that becomes the supervisor: what the file says and on which lines, by the schema. A
 * key that is added to the schema travels with the others.
 *
 * What config_check() works out does not travel: who unpacks a config has it checked again, which is also how values that
 * no file could have are refused.
 */
#ifndef ATOLL_CONFIG_CONFIG_PACK_H
#define ATOLL_CONFIG_CONFIG_PACK_H

#include "common/base/pack.h"
#include "config/config.h"

/* file->config is there. */
void config_pack(struct pack *pack, const struct config_file *file);
/*
 * Fills *file; file->path is a copy (config_file_release()). Nothing of it is there when it is bad. What comes out has the
 * schema's types, every key that must be there, and no value of an enum that has no name.
 */
void config_unpack(struct unpack *unpack, struct config_file *file);

/* Another schema has another number: what it packed is not understood. */
uint64_t config_pack_version(void);

/* Frees what a file's config holds, wherever it came from; not file->path. */
void config_file_clear(struct config_file *file);
/* The same of one that was unpacked, with its path. */
void config_file_release(struct config_file *file);
/* Frees the lines alone, which a running VM does not need. */
void config_file_forget_lines(struct config_file *file);

#endif
