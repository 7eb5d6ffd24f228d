// One value from YAML into its member, within its type and limits, and back.
#pragma once

#include <string>

#include "trainer/config/given.h"
#include "trainer/config/schema.h"

namespace cadre::config {

// A null leaves the default. UserError: wrong type, out of range, none of the choices. Not for lists of datasets.
void assign(Config& config, const Given& given);
void assign(DatasetConfig& dataset, const Given& given);

// The member's value as YAML on one line; what assign reads back as the same value. Not for lists of datasets.
std::string written(const Config& config, const Key& key);
std::string written(const DatasetConfig& dataset, const Key& key);

// "an integer from 1 to 65536", "cosine, linear or constant": what --help and errors call the key's type.
std::string type_of(const Key& key);

// Whether the key takes any text, so that a command line's words are taken as they stand.
bool is_free_text(const Key& key);
bool is_dataset_list(const Key& key);

}  // namespace cadre::config
