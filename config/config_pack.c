/*
 * Packing, unpacking and freeing a config: three walks over the schema. Of libcyaml there is here what describes a schema,
 * and no code.
 */
#include "config/config_pack.h"

#include <stdlib.h>
#include <string.h>

#include "config/config_schema.h"

/* --- what the schema says of a place in memory --- */

static bool is_pointer(const cyaml_schema_value_t *schema)
{
	return (schema->flags & CYAML_FLAG_POINTER) != 0;
}

static bool is_optional(const cyaml_schema_value_t *schema)
{
	return (schema->flags & CYAML_FLAG_OPTIONAL) != 0;
}

static uint64_t load_number(const void *place, size_t size)
{
	uint64_t number = 0;

	memcpy(&number, place, size);
	return number;
}

static void *load_pointer(const void *place)
{
	void *pointer;

	memcpy(&pointer, place, sizeof(pointer));
	return pointer;
}

static void store_pointer(void *place, void *pointer)
{
	memcpy(place, &pointer, sizeof(pointer));
}

static uint64_t largest(const cyaml_schema_value_t *schema)
{
	return schema->type == CYAML_BOOL ? 1 : UINT64_MAX >> (64 - 8 * schema->data_size);
}

static bool is_named(const cyaml_schema_value_t *schema, uint64_t number)
{
	for (uint32_t i = 0; i < schema->enumeration.count; i++)
		if ((uint64_t)schema->enumeration.strings[i].val == number)
			return true;
	return schema->type != CYAML_ENUM;
}

/* --- packing --- */

static void pack_mapping(struct pack *pack, const cyaml_schema_field_t *fields, const uint8_t *data);

static void pack_field(struct pack *pack, const cyaml_schema_field_t *field, const uint8_t *data)
{
	const cyaml_schema_value_t *schema = &field->value;
	const uint8_t *place = data + field->data_offset;
	uint64_t count;

	switch (schema->type) {
	case CYAML_STRING:
		pack_text(pack, load_pointer(place));
		return;
	case CYAML_MAPPING:
		if (is_pointer(schema)) {
			place = load_pointer(place);
			pack_number(pack, place != NULL);
		}
		if (place != NULL)
			pack_mapping(pack, schema->mapping.fields, place);
		return;
	case CYAML_SEQUENCE:
		count = load_number(data + field->count_offset, field->count_size);
		place = load_pointer(place);
		pack_number(pack, count);
		for (uint64_t i = 0; i < count; i++)
			pack_mapping(pack, schema->sequence.entry->mapping.fields,
				     place + i * schema->sequence.entry->data_size);
		return;
	case CYAML_UINT:
	case CYAML_BOOL:
	case CYAML_ENUM:
		pack_number(pack, load_number(place, schema->data_size));
		return;
	default:
		/* A schema with another type needs a case here; every test that runs a VM ends here until it has. */
		abort();
	}
}

static void pack_mapping(struct pack *pack, const cyaml_schema_field_t *fields, const uint8_t *data)
{
	for (; fields->key != NULL; fields++)
		pack_field(pack, fields, data);
}

void config_pack(struct pack *pack, const struct config_file *file)
{
	pack_text(pack, file->path);
	pack_number(pack, file->lines.count);
	for (size_t i = 0; i < file->lines.count; i++) {
		pack_text(pack, file->lines.list[i].key);
		pack_number(pack, file->lines.list[i].line);
	}
	pack_mapping(pack, config_schema()->mapping.fields, (const uint8_t *)file->config);
}

/* --- unpacking --- */

static void unpack_mapping(struct unpack *unpack, const cyaml_schema_field_t *fields, uint8_t *data);

/* Memory for what a pointer leads to; it is found there when it is freed, however far it was filled. */
static uint8_t *unpack_allocate(struct unpack *unpack, uint8_t *place, size_t count, size_t size)
{
	uint8_t *made = calloc(count, size);

	unpack->bad |= made == NULL;
	store_pointer(place, made);
	return made;
}

static void unpack_sequence(struct unpack *unpack, const cyaml_schema_field_t *field, uint8_t *data)
{
	const cyaml_schema_value_t *entry = field->value.sequence.entry;
	uint64_t count = unpack_count(unpack);
	uint8_t *list;

	if (count == 0 || count > UINT32_MAX)
		return;
	list = unpack_allocate(unpack, data + field->data_offset, count, entry->data_size);
	if (list == NULL)
		return;
	memcpy(data + field->count_offset, &count, field->count_size);
	for (uint64_t i = 0; i < count && !unpack->bad; i++)
		unpack_mapping(unpack, entry->mapping.fields, list + i * entry->data_size);
}

static void unpack_field(struct unpack *unpack, const cyaml_schema_field_t *field, uint8_t *data)
{
	const cyaml_schema_value_t *schema = &field->value;
	uint8_t *place = data + field->data_offset;
	uint64_t number;
	char *text;

	switch (schema->type) {
	case CYAML_STRING:
		text = unpack_text(unpack);
		unpack->bad |= text == NULL && !is_optional(schema);
		store_pointer(place, text);
		return;
	case CYAML_MAPPING:
		if (is_pointer(schema))
			place = unpack_number(unpack, 1) != 0
					? unpack_allocate(unpack, place, 1, schema->data_size)
					: NULL;
		if (place != NULL)
			unpack_mapping(unpack, schema->mapping.fields, place);
		return;
	case CYAML_SEQUENCE:
		unpack_sequence(unpack, field, data);
		return;
	default:
		number = unpack_number(unpack, largest(schema));
		unpack->bad |= !is_named(schema, number);
		memcpy(place, &number, schema->data_size);
		return;
	}
}

static void unpack_mapping(struct unpack *unpack, const cyaml_schema_field_t *fields, uint8_t *data)
{
	for (; fields->key != NULL && !unpack->bad; fields++)
		unpack_field(unpack, fields, data);
}

static void unpack_lines(struct unpack *unpack, struct config_lines *lines)
{
	size_t count = unpack_count(unpack);

	for (size_t i = 0; i < count && !unpack->bad; i++) {
		char *key = unpack_text(unpack);
		unsigned line = (unsigned)unpack_number(unpack, UINT32_MAX);

		unpack->bad |= key == NULL || config_lines_add(lines, key, line) < 0;
		free(key);
	}
}

void config_unpack(struct unpack *unpack, struct config_file *file)
{
	*file = (struct config_file){.path = unpack_text(unpack)};
	unpack->bad |= file->path == NULL;
	unpack_lines(unpack, &file->lines);
	file->config = calloc(1, sizeof(*file->config));
	unpack->bad |= file->config == NULL;
	if (!unpack->bad)
		unpack_mapping(unpack, config_schema()->mapping.fields, (uint8_t *)file->config);
	if (unpack->bad)
		config_file_release(file);
}

/* --- freeing --- */

static void free_mapping(const cyaml_schema_field_t *fields, uint8_t *data)
{
	for (; fields->key != NULL; fields++) {
		const cyaml_schema_value_t *schema = &fields->value, *entry = schema->sequence.entry;
		uint8_t *place = data + fields->data_offset, *pointer;

		pointer = is_pointer(schema) ? load_pointer(place) : NULL;
		if (schema->type == CYAML_MAPPING && (!is_pointer(schema) || pointer != NULL))
			free_mapping(schema->mapping.fields, is_pointer(schema) ? pointer : place);
		if (schema->type == CYAML_SEQUENCE && pointer != NULL)
			for (uint64_t i = 0; i < load_number(data + fields->count_offset, fields->count_size);
			     i++)
				free_mapping(entry->mapping.fields, pointer + i * entry->data_size);
		free(pointer);
	}
}

void config_file_forget_lines(struct config_file *file)
{
	config_lines_clear(&file->lines);
}

void config_file_clear(struct config_file *file)
{
	config_file_forget_lines(file);
	if (file->config != NULL)
		free_mapping(config_schema()->mapping.fields, (uint8_t *)file->config);
	free(file->config);
	file->config = NULL;
}

void config_file_release(struct config_file *file)
{
	config_file_clear(file);
	free((char *)file->path);
	file->path = NULL;
}

/* --- its version --- */

/* FNV-1a over what decides where a value is and how it is packed. */
static uint64_t version_add(uint64_t version, uint64_t number)
{
	return (version ^ number) * UINT64_C(0x100000001b3);
}

static uint64_t version_of(uint64_t version, const cyaml_schema_field_t *fields)
{
	for (; fields->key != NULL; fields++) {
		for (const char *c = fields->key; *c != '\0'; c++)
			version = version_add(version, (uint8_t)*c);
		version = version_add(version, fields->value.type);
		version = version_add(version, fields->value.flags);
		version = version_add(version, fields->value.data_size);
		if (fields->value.type == CYAML_ENUM)
			version = version_add(version, fields->value.enumeration.count);
		if (fields->value.type == CYAML_MAPPING)
			version = version_of(version, fields->value.mapping.fields);
		if (fields->value.type == CYAML_SEQUENCE)
			version = version_of(version, fields->value.sequence.entry->mapping.fields);
	}
	return version_add(version, 0);
}

uint64_t config_pack_version(void)
{
	return version_of(UINT64_C(0xcbf29ce484222325), config_schema()->mapping.fields);
}
