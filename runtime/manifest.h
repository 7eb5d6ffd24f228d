// The text of a checkpoint's manifest. Its last field is the hash of every byte before it, so that a flipped byte
// anywhere is seen without trusting the rest.
#pragma once

#include <string>

#include "runtime/checkpoint_store.h"

namespace cadre::runtime {

std::string print_manifest(const Manifest& manifest);

// UserError saying what is wrong, without the file's name.
Manifest parse_manifest(const std::string& text);

// A file name without a folder, hidden or over-long part: what a shard may be called.
bool is_plain_file_name(std::string_view name);

}  // namespace cadre::runtime
