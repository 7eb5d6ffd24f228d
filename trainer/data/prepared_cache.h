// Prepared rows on disk, under a name that says all they were made from. One safetensors file an entry, written whole
// or not at all; its metadata hold the reports and a SHA-256 over them and all content, recomputed on reading.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "trainer/data/dataset.h"

namespace cadre::data {

// Where the entry lies.
std::filesystem::path prepared_file(const std::filesystem::path& folder, const std::string& key);

// The entry `key` (hexadecimal digits) under `folder`, nullopt where there is none. One that cannot be read or does
// not hash to what it claims is as good as none, and is said in `warning`.
std::optional<Prepared> load_prepared(const std::filesystem::path& folder, const std::string& key,
                                      std::string& warning);

// RunError or UserError when the disk refuses.
void save_prepared(const std::filesystem::path& folder, const std::string& key, const Prepared& prepared);

}  // namespace cadre::data
