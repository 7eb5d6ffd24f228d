// Parquet, where the build found Arrow's C++ library (CADRE_PARQUET).
#pragma once

#include <filesystem>
#include <memory>

#include "trainer/data/row_reader.h"

namespace cadre::data {

// UserError: malformed, a column of a kind that rows cannot hold, or a build without Parquet.
std::unique_ptr<RowReader> open_parquet(const std::filesystem::path& path);

}  // namespace cadre::data
